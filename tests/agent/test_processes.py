"""Two processes (gloo on a CPU) train as one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")

from llm_agent import train_grpo
from llm_agent.storage.run_folder import RunFolder

CONFIG = Path(__file__).parents[2] / "accelerate_configs" / "multi_cpu.yaml"
SFT = "max_steps: 2\nlogging_steps: 1\nbf16: false\nper_device_train_batch_size: {}\n"
# Nearly greedy, in float32: what is drawn does not depend on each process's random stream.
GRPO = ["--max_steps", "2", "--num_generations", "4", "--temperature", "1e-6", "--bf16", "False", "--patience", "0"]
GRPO += ["--eval-states", "2", "--eval-every", "2", "--skip-report"]
SAME = ("reward", "reward_terms/", "rewards/", "verdicts/", "control/", "held_out/greedy")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(name, batch):
    with open(f"{name}.yaml", "w") as file:
        file.write(SFT.format(batch))
    return ["--sft-config", f"{name}.yaml", "--per_device_train_batch_size", str(batch), *GRPO, "--output-dir", name]


def launch(module, *flags):
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG), "-m"]
    return subprocess.run(
        [*launcher, module, *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        timeout=400,
    )


def test_two_processes_get_the_rewards_that_one_gets(folder):
    assert train_grpo.main(arguments("one", 16)) == 0
    done = launch("llm_agent.train_grpo", *arguments("two", 8))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder: ") == 1  # one process prints and writes
    one, two = RunFolder.open("one"), RunFolder.open("two")
    assert (one.record["machine"]["processes"], two.record["machine"]["processes"]) == (1, 2)
    assert list(two.record["phases"]) == ["data", "sft", "grpo", "evaluation"]
    for phase in ("sft", "grpo"):
        rows = {run: [row for row in run.metrics(phase) if "loss" in row] for run in (one, two)}
        assert [row["step"] for row in rows[two]] == [1, 2]
        for a, b in zip(rows[one], rows[two], strict=True):
            if phase == "sft":
                assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
            for key in a:
                if key.startswith(SAME) and not key.endswith("/std"):
                    assert b[key] == pytest.approx(a[key], rel=1e-3, abs=1e-3), key


def test_an_error_is_printed_once_and_ends_all_processes():
    done = launch("llm_agent.train_grpo", "--model", "no/such-model", *GRPO)
    assert done.returncode != 0
    assert done.stderr.count("error: cannot load model 'no/such-model'") == 1
