"""The rewards and the data outside of our own trainer."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("trl")

from datasets import load_dataset

from llm_agent import export, trl_rewards
from llm_agent.models.shipped import BASE, find


def test_prompts_and_demonstrations_are_ordinary_datasets(tmp_path, capsys):
    flags = ["--system", "double_integrator,van_der_pol", "--count", "6", "--held-out", "4"]
    assert export.main(["prompts", *flags, "--output-dir", str(tmp_path / "p")]) == 0
    assert export.main(["demonstrations", *flags, "--output-dir", str(tmp_path / "d")]) == 0
    prompts = load_dataset(str(tmp_path / "p"), cache_dir=str(tmp_path / "cache"))
    shown = load_dataset(str(tmp_path / "d"), cache_dir=str(tmp_path / "cache"))
    for found, columns in ((prompts, {"prompt", "system", "x0"}), (shown, {"prompt", "completion", "system", "x0"})):
        assert {split: len(rows) for split, rows in found.items()} == {"train": 6, "validation": 4, "test": 4}
        assert set(found["train"].column_names) == columns
    row = shown["train"][0]
    (reward,) = trl_rewards.control([row["prompt"]], [row["completion"]], system=[row["system"]], x0=[row["x0"]])
    assert 30 <= reward <= 163
    assert export.main(["prompts", *flags, "--output-dir", str(tmp_path / "p")]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_rewards_of_every_version_have_a_dotted_path():
    assert trl_rewards.control.reward_version == "1.3"
    assert trl_rewards.control_v2_0.reward_version == "2.0"
    assert trl_rewards.format_exact_v1_0.__name__ == "format_exact"
    for name in ("control_v9", "nothing", "_v1"):
        with pytest.raises((AttributeError, ValueError)):
            getattr(trl_rewards, name)


def test_trls_own_command_trains_on_our_reward(tmp_path):
    assert export.main(["prompts", "--count", "8", "--held-out", "1", "--output-dir", str(tmp_path / "prompts")]) == 0
    command = [sys.executable, "-m", "trl.cli.main", "grpo", "--model_name_or_path", str(find(BASE))]
    command += ["--dataset_name", "prompts", "--output_dir", "out", "--remove_unused_columns", "false"]
    command += ["--reward_funcs", "llm_agent.trl_rewards.control", "llm_agent.trl_rewards.format_exact"]
    command += ["--max_steps", "1", "--per_device_train_batch_size", "4", "--num_generations", "4", "--use_cpu"]
    command += ["--max_completion_length", "60", "--report_to", "none", "--logging_steps", "1", "--bf16", "false"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads(next((tmp_path / "out").glob("checkpoint-*/trainer_state.json")).read_text())
    assert "rewards/control/mean" in state["log_history"][0]
    assert "reward_terms/terminal" in state["log_history"][0]
