"""The cost of a GRPO step as model, plan and number of accelerators grow: by arithmetic, with the reward measured.

python -m benchmarks.scaling
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from transformers import AutoConfig

from control_envs import REWARDS, SYSTEMS
from control_envs.utils import tables
from llm_agent.training.devices import DEVICES, GB
from llm_agent.training.estimate import TOKENS_A_NUMBER, effort_of, reward_seconds
from llm_agent.training.model_size import SHAPES, size_of

PROMPT, ANSWER = 92, 50 * TOKENS_A_NUMBER + 20  # tokens of a problem and of 50 controls
BATCH, GROUP = 128, 16
GPUS = (1, 8, 64, 1024)


def by_model():
    device, reward, rows = DEVICES["h100"], reward_seconds("double_integrator"), []
    for name, shape in SHAPES.items():
        size = size_of(AutoConfig.for_model("qwen3", **shape), 32, 64)
        effort = effort_of(size, PROMPT, ANSWER, BATCH)
        seconds = effort.seconds_generating(device) + effort.seconds_training(device)
        rows.append(
            [
                name,
                f"{BATCH * (PROMPT + ANSWER):,}",
                f"{(effort.reading + effort.writing) / 1e15:.2f}",
                f"{effort.training / 1e15:.2f}",
                f"{effort.read / 1e12:.2f}",
                f"{effort.cache / GB:.1f}",
                f"{2 * size.trained / 1e6:.0f}",
                f"{seconds:.1f}",
                f"{1e3 * BATCH * reward:.1f}",
                f"{seconds / (BATCH * reward):,.0f}",
            ]
        )
    head = ["model", "tokens", "PFLOP generating", "PFLOP training", "TB read generating", "GB cache", "MB adapter"]
    return tables.table([*head, "H100 s", "reward ms", "H100s that one reward core feeds"], rows)


def by_plan():
    rows = []
    for name, system in SYSTEMS.items():
        if not name.endswith("_hard"):
            for horizon in (50, 200, 1000):
                scored = reward_seconds(name, horizon=horizon)
                rows.append([name, f"{horizon}", f"{horizon * ANSWER // system.horizon:,}", f"{1e6 * scored:.0f}"])
    return tables.table(["plant", "controls", "tokens, about", "microseconds a completion, one core"], rows)


def by_gpus(cores_per_gpu=8):
    reward, rows = reward_seconds("double_integrator"), []
    for gpus in GPUS:
        completions = gpus * BATCH  # the same batch on each
        rows.append(
            [
                f"{gpus:,}",
                f"{completions:,}",
                f"{completions // GROUP:,}",
                f"{1e3 * completions * reward:,.0f}",
                f"{1e3 * completions * reward / (gpus * cores_per_gpu):.2f}",
            ]
        )
    head = ["accelerators", "completions a step", "problems", "reward ms on one core", "on 8 cores an accelerator"]
    return tables.table(head, rows)


def table():
    about = f"{BATCH} completions of {PROMPT} + {ANSWER} tokens a step, LoRA, reward {list(REWARDS)[-2]} measured here."
    return "\n\n".join([about, by_model(), by_plan(), by_gpus()])


if __name__ == "__main__":
    print(table())
