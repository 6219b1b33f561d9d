"""The tiny model's training and generation with freed memory kept in the process, and with glibc's own way.

    python -m benchmarks.freed_memory

A training step is forward pass, loss and backward pass of an untrained model on 8 demonstrations with written states.
Generation is 500 tokens for each of 64 prompts. Each measurement has its own process, since the setting holds for one.
"""

import subprocess
import sys

from baselines.evaluation.tables import table as markdown
from benchmarks import best_time

REPEATS = 20
TOKENS, PROMPTS = 500, 64


def seconds(keep):
    """Seconds per training step and of a generation in this process."""
    import datasets
    import torch

    from benchmarks.tiny_model import train_step
    from control_envs import format_prompt, get_system
    from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
    from llm_agent.models.freed_memory import keep_freed_memory
    from llm_agent.models.loading import quicken
    from llm_agent.models.tiny import build_tiny
    from llm_agent.policies.language_model import LLMPolicy
    from llm_agent.training.hardware import bf16_is_quicker
    from llm_agent.training.sft import tokenize

    datasets.disable_progress_bars()
    if keep:
        keep_freed_memory()
    model, tokenizer = build_tiny()
    policy = LLMPolicy(model, tokenizer, max_new_tokens=TOKENS, batch_size=PROMPTS)
    prompts = [format_prompt(get_system("double_integrator"), [0.4, -0.2])] * PROMPTS
    generation = best_time(lambda: policy.act(prompts), 2)
    rows, _ = make_demonstrations(["double_integrator"], 8, DemonstrationConfig(reasoning="states"))
    rows = tokenize(rows, tokenizer)
    ids, labels = torch.tensor(rows["input_ids"]), torch.tensor(rows["labels"])
    quicken(model, bf16_is_quicker(), True, ids.shape[1])
    return best_time(train_step(model, ids, labels, bf16_is_quicker()), REPEATS), generation


def measured(keep):
    """Seconds per training step and of a generation in a new process."""
    command = [sys.executable, "-m", "benchmarks.freed_memory", str(int(keep))]
    words = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return [float(word) for word in words[-2:]]


def table():
    import torch

    # Twice in turn, so that a moment in which the machine is slow affects both.
    rounds = [(measured(False), measured(True)) for _ in range(2)]
    returned, kept = ([min(times) for times in zip(*runs, strict=True)] for runs in zip(*rounds, strict=True))
    rows = [
        [work, f"{1e3 * before:.0f}", f"{1e3 * after:.0f}", f"{after / before:.2f}"]
        for work, before, after in zip(("training step", "generation"), returned, kept, strict=True)
    ]
    head = f"The tiny model on {torch.get_num_threads()} threads (`python -m benchmarks.freed_memory`)"
    return f"{head}\n\n{markdown(['work', 'freed memory returned, ms', 'kept (as chosen), ms', 'relative'], rows)}"


if __name__ == "__main__":
    print(*seconds(sys.argv[1] == "1") if sys.argv[1:] else [table()])
