"""Same seed, same bits: in other processes, and from one version of this code to the next."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")

from llm_agent import train_grpo, train_sft
from llm_agent.storage.run_folder import RunFolder

GOLDEN = Path(__file__).parents[1] / "golden" / "training.json"

EVERYTHING = """
import hashlib, sys
import gymnasium as gym, numpy as np
from baselines.controllers.lqr import simulate_feedback, lqr
from baselines.optimum.solver import solve_all
from control_envs import REWARDS, SYSTEMS, env_id, format_completion, sample_states, score, score_completions, simulate
from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations, make_prompts

digest = hashlib.sha256()
def add(*values):
    for v in values:
        digest.update(v.encode() if isinstance(v, str) else np.ascontiguousarray(v).tobytes())

if __name__ == "__main__":
    for name, system in SYSTEMS.items():
        x0 = sample_states(system, 5)
        trajectory = simulate_feedback(system, x0, lqr(system)[0], 2)
        add(x0, lqr(system)[0], trajectory.x, solve_all(system, x0, cache=False).cost)
        texts = ["", "<CONTROLS>1</CONTROLS>", *map(format_completion, trajectory.u[:3])]
        for version in REWARDS:
            add(score(trajectory, version).total, score_completions(system, x0, texts, version).total)
        for text in (False, True):
            for mode in ("sync", "async"):
                envs = gym.make_vec(env_id(name, text=text), num_envs=2, vectorization_mode=mode)
                envs.action_space.seed(3)
                seen = envs.reset(seed=3)[0]
                actions = (texts[2], texts[0]) if text else envs.action_space.sample()
                observed, rewards, *_ = envs.step(actions)
                add(*[np.asarray(s) if not text else str(s) for s in (*seen, *observed)], rewards)
                envs.close()
    rows, _ = make_demonstrations(list(SYSTEMS), 40, DemonstrationConfig(perturbation=0.15, variations=0.3))
    states, _ = make_demonstrations(list(SYSTEMS), 12, DemonstrationConfig("optimal", "states", exploration=0.1))
    rows = [*rows, *states]
    prompts = make_prompts(list(SYSTEMS), 40, curriculum=0.5)
    for row in [*rows, *prompts]:
        add(*[str(row[key]) for key in sorted(row)])
    print(digest.hexdigest())
"""


def test_other_processes_compute_the_same_bits(tmp_path):
    (tmp_path / "everything.py").write_text(EVERYTHING)
    seen = set()
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "everything.py")],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1


SMALL = ["--max_steps", "10", "--per_device_train_batch_size", "8", "--logging_steps", "1", "--max_grad_norm", "1"]
SMALL += ["--bf16", "False", "--eval-states", "2", "--skip-report"]


def trajectory(tmp_path, monkeypatch):
    """Ten steps of SFT of a fresh tiny model, and ten of GRPO of the pretrained one, in float32."""
    monkeypatch.chdir(tmp_path)
    assert train_sft.main(["--model", "tiny", "--warmup_steps", "2", *SMALL]) == 0
    sft = [[row["loss"], row["grad_norm"]] for row in RunFolder.open().metrics("sft") if "loss" in row]
    assert train_grpo.main(["--zero-shot", "--num_generations", "4", *SMALL]) == 0
    keys = ("reward", "grad_norm", "entropy")
    grpo = [[row[key] for key in keys] for row in RunFolder.open().metrics("grpo") if "loss" in row]
    return {"sft": sft, "grpo": grpo}


def test_ten_steps_of_training_are_what_they_were(tmp_path, monkeypatch):
    """A change that moves this on purpose writes the file anew: CONTROL_GRPO_PIN=1 pytest -k ten_steps."""
    found = trajectory(tmp_path, monkeypatch)
    if os.environ.get("CONTROL_GRPO_PIN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    pinned = json.loads(GOLDEN.read_text())
    assert {phase: len(rows) for phase, rows in found.items()} == {"sft": 10, "grpo": 10}
    # Machines add floats in other orders; GRPO has room for a sampled token, and what follows from it, to differ.
    for phase, tolerance in (("sft", 1e-2), ("grpo", 1e-1)):
        for was, now in zip(pinned[phase], found[phase], strict=True):
            assert now == pytest.approx(was, rel=tolerance, abs=1e-3), phase
