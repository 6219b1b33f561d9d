"""The commands, run as a user runs them: real trainers, real folders, a real kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from safetensors.torch import load_file

from llm_agent.run_folder import RunFolder, list_runs
from llm_agent.tiny_model import save_tiny

SMALL = ["--per_device_train_batch_size", "8", "--eval-states", "6"]
SFT = ["--max_steps", "6", "--save_steps", "2", "--logging_steps", "1", *SMALL]
GRPO = ["--max_steps", "4", "--save_steps", "2", "--num_generations", "4", *SMALL]


def command(module, *args, cwd, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"},
        **kwargs,
    )


def run(module, *args, cwd, code=0):
    process = command(module, *args, cwd=cwd)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == code, output
    return output


@pytest.fixture(scope="module")
def sft_config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "sft.yaml"
    path.write_text("max_steps: 6\nsave_steps: 2\nlogging_steps: 1\nper_device_train_batch_size: 8\n")
    return str(path)


@pytest.fixture(scope="module")
def main_job(tmp_path_factory, sft_config):
    """The main job, cut short."""
    cwd = tmp_path_factory.mktemp("main")
    output = run("llm_agent.train_grpo", "--sft-config", sft_config, *GRPO, cwd=cwd)
    return cwd, output


def test_the_main_job_leaves_a_whole_run(main_job):
    cwd, output = main_job
    run_folder = RunFolder.open(cwd / "runs" / "latest")
    record = run_folder.record
    assert list(record["phases"]) == ["data", "sft", "grpo", "evaluation"]
    assert record["command"].startswith("python -m llm_agent.train_grpo --sft-config")
    assert record["settings"]["reward_version"] == "1.3"
    assert {"torch", "trl", "gymnasium"} <= set(record["versions"])
    for name in (
        "data/demonstrations.parquet",
        "data/card.json",
        "sft/model.safetensors",
        "grpo/model.safetensors",
        "grpo/tokenizer.json",
        "evaluation.json",
        "evaluation.md",
        "training.png",
        "flights_double_integrator.png",
    ):
        assert (run_folder.path / name).stat().st_size > 0, name
    for phase, steps in (("sft", 6), ("grpo", 4)):
        assert f"] {phase}" in output
        logged = [row["step"] for row in run_folder.metrics(phase)]
        assert logged[-1] == steps
        assert sorted(logged) == logged
    last = [row for row in run_folder.metrics("grpo") if "reward" in row][-1]
    assert {"rewards/control/mean", "rewards/format_exact/mean", "rewards/format_approximate/mean"} <= set(last)
    assert any(key.startswith("reward_terms/") for key in last)
    assert any(key.startswith("verdicts/") for key in last)
    report = json.loads((run_folder.path / "evaluation.json").read_text())["double_integrator"]
    assert set(report["policies"]) == {"SFT greedy", "SFT sampled", "GRPO greedy", "GRPO sampled", "LQR"}
    assert "| LQR | 100.0 |" in output


def test_a_run_is_listed_and_evaluated_again(main_job):
    cwd, _ = main_job
    assert "double_integrator-tiny-seed0" in run("llm_agent.runs", cwd=cwd)
    output = run("llm_agent.evaluate", "runs/latest", "--states", "4", cwd=cwd)
    assert "4 held-out initial states" in output
    output = run("llm_agent.evaluate", "runs/latest/sft", "--states", "4", "--output-dir", "out", cwd=cwd)
    assert "runs/latest/sft greedy" in output
    assert (cwd / "out" / "evaluation.json").exists()


def test_grpo_starts_from_another_runs_model(main_job):
    cwd, _ = main_job
    run("llm_agent.train_grpo", "--sft-from", "runs/latest", *GRPO, "--output-dir", "again", cwd=cwd)
    start = load_file(cwd / "again" / "sft" / "model.safetensors")
    source = load_file(list_runs(cwd / "runs")[0].path / "grpo" / "model.safetensors")
    assert all(torch.equal(start[name], source[name]) for name in source)
    assert list(RunFolder.open(cwd / "again").record["phases"]) == ["sft", "grpo", "evaluation"]


def test_same_seed_same_weights(main_job, sft_config):
    cwd, _ = main_job
    run("llm_agent.train_grpo", "--sft-config", sft_config, *GRPO, "--output-dir", "twin", cwd=cwd)
    for phase in ("sft", "grpo"):
        a = load_file(list_runs(cwd / "runs")[0].path / phase / "model.safetensors")
        b = load_file(cwd / "twin" / phase / "model.safetensors")
        assert all(torch.equal(a[name], b[name]) for name in a), phase


@pytest.mark.parametrize("phase", ["sft", "grpo"])
def test_killed_and_resumed_ends_with_the_same_weights(main_job, sft_config, tmp_path, phase):
    whole = list_runs(main_job[0] / "runs")[0]
    arguments = ["--sft-config", sft_config, *GRPO, "--output-dir", "run"]
    process = command("llm_agent.train_grpo", *arguments, cwd=tmp_path, start_new_session=True)
    mark = tmp_path / "run" / phase / "checkpoint-2" / "complete"
    deadline = time.monotonic() + 300
    while not mark.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    killed = RunFolder.open(tmp_path / "run")
    assert not killed.is_done(phase)
    # A checkpoint that the kill cut short is not read.
    (tmp_path / "run" / phase / "checkpoint-99").mkdir()
    run("llm_agent.train_grpo", "--resume", "--output-dir", "run", cwd=tmp_path)
    for done in ("sft", "grpo"):
        a = load_file(whole.path / done / "model.safetensors")
        b = load_file(tmp_path / "run" / done / "model.safetensors")
        assert all(torch.equal(a[name], b[name]) for name in a), done
    steps = [row["step"] for row in killed.metrics(phase) if "loss" in row]
    assert steps == sorted(set(steps))


def test_sft_alone_on_all_plants(tmp_path):
    output = run("llm_agent.train_sft", "--system", "all", "--demonstrations", "expert", *SFT, cwd=tmp_path)
    assert "## double_integrator" in output
    assert "## van_der_pol" in output


def test_zero_shot(tmp_path):
    output = run("llm_agent.train_grpo", "--zero-shot", *GRPO, "--reward-version", "1.2", cwd=tmp_path)
    assert "[2/3] grpo" in output
    assert RunFolder.open(tmp_path / "runs" / "latest").settings["reward_version"] == "1.2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--system", "van_der_poll"], "Did you mean 'van_der_pol'"),
        (["--reward-version", "7"], "Known versions"),
        (["--model", "no/such-model"], "cannot load model 'no/such-model'"),
        (["--zero-shot", "--sft-from", "x"], "exclude each other"),
        (["--max_steps", "-1"], "--max_steps must be at least 1"),
        (["--resume", "--output-dir", "nowhere"], "nowhere holds no run"),
        (["--max_completion_length", "10", "--zero-shot"], "takes 57 tokens"),
    ],
)
def test_bad_flags_get_one_line(tmp_path, capsys, monkeypatch, arguments, said):
    from llm_agent.pipeline import command as main

    monkeypatch.chdir(tmp_path)
    assert main("grpo", arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]


def test_a_folder_that_is_taken_is_left_alone(main_job, capsys, tmp_path, monkeypatch):
    from llm_agent.pipeline import command as main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert main("grpo", ["--output-dir", "mine"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main("grpo", ["--output-dir", str(main_job[0] / "runs" / "latest")]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


def test_a_pretrained_model_trains_by_lora(tmp_path):
    """The path that people with Qwen or Llama take, on a Llama with random weights: adapter, hand-over, evaluation."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from llm_agent.policy import LLMPolicy
    from llm_agent.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    settings = tmp_path / "sft.yaml"
    settings.write_text("max_steps: 2\nper_device_train_batch_size: 4\nlearning_rate: 1.0e-2\n")
    arguments = ["--model", str(tmp_path / "base"), "--sft-config", str(settings), "--max_completion_length", "60"]
    arguments += ["--max_steps", "1", "--num_generations", "4", "--per_device_train_batch_size", "4"]
    run("llm_agent.train_grpo", *arguments, "--eval-states", "2", "--output-dir", "run", cwd=tmp_path)
    for phase in ("sft", "grpo"):
        assert (tmp_path / "run" / phase / "adapter_model.safetensors").exists()
    prompt = "Control a double integrator"
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = {
            name: LLMPolicy.from_pretrained(tmp_path / name).model(tokens).logits for name in ("base", "run/sft", "run")
        }
    assert not torch.allclose(logits["base"], logits["run/sft"])


def test_a_tiny_folder_can_be_trained_on(tmp_path):
    save_tiny(tmp_path / "tiny", seed=5)
    output = run("llm_agent.train_sft", "--model", "tiny", *SFT, "--seed", "5", cwd=tmp_path)
    assert "SFT greedy" in output
