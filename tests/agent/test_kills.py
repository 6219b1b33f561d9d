"""Processes killed at random, or stopped by Ctrl-C in each phase: nothing is lost beyond the last checkpoint."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

pytest.importorskip("trl")

from safetensors.torch import load_file
from starting import start

from llm_agent.storage.run_folder import COMPLETE, RunFolder

pytestmark = pytest.mark.slow

CONFIG = "max_steps: 40\nsave_steps: 3\nlogging_steps: 1\nper_device_train_batch_size: 8\n"
RUN = ["--model", "tiny", "--sft-config", "sft.yaml", "--demonstration-count", "3000", "--max_steps", "16"]
RUN += ["--save_steps", "2", "--num_generations", "4", "--per_device_train_batch_size", "8", "--eval-states", "100"]
RUN += ["--skip-report", "--patience", "0"]


@pytest.fixture(autouse=True)
def _config(tmp_path):
    (tmp_path / "sft.yaml").write_text(CONFIG)


def finish(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


def kill_after(process, seconds):
    """Whether it was still at work then."""
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True


def whole(folder):
    """Every complete file can be read."""
    for path in folder.rglob("*.json"):
        if "checkpoint-" not in str(path):
            json.loads(path.read_text())
    for mark in folder.rglob(COMPLETE):
        load_file(mark.parent / "model.safetensors")
        json.loads((mark.parent / "trainer_state.json").read_text())


def killed_at_random(command, flags, resume, cwd, kills, seed, shares):
    """Starts ``command`` again and again until it was killed ``kills`` times; returns the folders of finished runs.

    A kill comes after a share of a whole run's time, drawn from ``shares``; a run that ends before its kill is kept,
    says how quick this machine is now, and another is begun.
    """
    began = time.monotonic()
    finish(start(command, *flags, "--output-dir", "whole", cwd=cwd))
    length, rng, done = time.monotonic() - began, np.random.default_rng(seed), []
    run, more = cwd / "killed", flags
    while True:
        began = time.monotonic()
        process = start(command, *more, "--output-dir", "killed", cwd=cwd)
        if kills and kill_after(process, rng.uniform(*shares) * length):
            kills -= 1
            whole(run)
            if any(run.rglob("*.json")):
                more = resume
            continue
        finish(process)
        if not kills:
            return [*done, run]
        length, more = min(length, time.monotonic() - began), flags
        done.append(run.rename(cwd / f"done-{len(done)}"))


def same_weights(*files):
    first, second = map(load_file, files)
    return all((first[name] == second[name]).all() for name in first)


def test_a_run_killed_sixteen_times_ends_with_the_same_weights(tmp_path):
    # Shares long enough to get on, short enough to be killed a dozen times: importing torch alone takes seconds.
    ended = killed_at_random("llm_agent.train_grpo", RUN, ["--resume"], tmp_path, 16, 0, (0.3, 0.75))
    for done in map(RunFolder, ended):
        for phase in ("sft", "grpo"):
            assert same_weights(*(d / phase / "model.safetensors" for d in (tmp_path / "whole", done.path)))
            steps = [row["step"] for row in done.metrics(phase) if "loss" in row]
            assert steps == sorted(set(steps))
        evaluations = [json.loads((d / "evaluation.json").read_text()) for d in (tmp_path / "whole", done.path)]
        for report in evaluations:
            for policy in report["double_integrator"]["policies"].values():
                policy.pop("seconds_per_decision", None)
        assert evaluations[0]["double_integrator"]["policies"] == evaluations[1]["double_integrator"]["policies"]


def test_ppo_killed_at_random_ends_with_the_same_policy(tmp_path):
    flags = ["--total-timesteps", "12000", "--no-progress", "--resume"]
    for done in killed_at_random("baselines.ppo", flags, flags, tmp_path, 4, 1, (0.3, 0.8)):
        assert same_weights(*(d / "double_integrator/seed_0/policy.safetensors" for d in (tmp_path / "whole", done)))


def test_a_search_killed_at_random_replaces_its_trials(tmp_path):
    flags = ["ppo", "--trials", "6", "--steps", "4000", "--states", "5"]
    rng, kills = np.random.default_rng(2), 0
    for _ in range(4):
        kills += kill_after(start("llm_agent.tune", *flags, cwd=tmp_path), rng.uniform(5, 9))
    finish(start("llm_agent.tune", *flags, cwd=tmp_path))
    assert kills >= 2
    assert list(tmp_path.rglob("best.yaml"))


@pytest.mark.parametrize("phase", ["data", "sft", "grpo", "evaluation"])
def test_ctrl_c_is_said_in_one_line(tmp_path, phase):
    process = start("llm_agent.train_grpo", *RUN, "--output-dir", "run", cwd=tmp_path)
    assert process.stdout is not None
    seen = ""
    while f"] {phase}" not in seen:
        read = process.stdout.read(1)
        assert read, seen
        seen += read
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == "stopped: go on with --resume"
    whole(tmp_path / "run")
    assert not RunFolder.open(tmp_path / "run").is_done(phase)
