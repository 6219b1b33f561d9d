"""The commands, run as a user runs them: real trainers, real folders, a real kill."""

import inspect
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from safetensors.torch import load_file
from starting import finish, start
from transformers import LlamaConfig, LlamaForCausalLM
from trl import GRPOConfig
from trl.trainer import grpo_config, grpo_trainer

from control_envs.utils.files import write_json
from llm_agent import compare, evaluate, report, runs, train_grpo, train_sft
from llm_agent.models.tiny import save_tiny
from llm_agent.models.tokenizer import build_tokenizer
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.checks import CHOICES, check_disk

SMALL = ["--per_device_train_batch_size", "8", "--eval-states", "6", "--skip-report"]
SFT = ["--max_steps", "6", "--save_steps", "2", "--logging_steps", "1", *SMALL]
GRPO = ["--max_steps", "4", "--save_steps", "2", "--num_generations", "4", "--eval-every", "2", *SMALL]


@pytest.fixture
def grpo(tmp_path, monkeypatch, capsys):
    """The command in this process (which spares importing torch again), in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*args, kind="grpo"):
        assert {"sft": train_sft, "grpo": train_grpo}[kind].main([str(a) for a in args]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def same_weights(a, b):
    a, b = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def sft_config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "sft.yaml"
    path.write_text("max_steps: 6\nsave_steps: 2\nlogging_steps: 1\nper_device_train_batch_size: 8\n")
    return str(path)


@pytest.fixture(scope="module")
def main_job(tmp_path_factory, sft_config):
    """The main job, cut short, as a user runs it: its folder and what it printed."""
    cwd = tmp_path_factory.mktemp("main")
    output = finish("llm_agent.train_grpo", "--sft-config", sft_config, *GRPO, cwd=cwd)
    return RunFolder.open(cwd / "runs" / "latest"), output


def test_the_main_job_leaves_a_complete_run(main_job):
    run_folder, output = main_job
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
        "evaluation.parquet",
        "training.png",
        "trajectories_double_integrator.png",
    ):
        assert (run_folder.path / name).stat().st_size > 0, name
    for phase, steps in (("sft", 6), ("grpo", 4)):
        assert f"] {phase}" in output
        logged = [row["step"] for row in run_folder.metrics(phase)]
        assert logged[-1] == steps
        assert sorted(logged) == logged
    held_out = [row for row in run_folder.metrics("grpo") if "held_out/greedy/reward" in row]
    assert [row["step"] for row in held_out] == [0, 2, 4]
    assert [row["step"] for row in run_folder.metrics("grpo") if "loss" in row] == [1, 2, 3, 4]
    last = [row for row in run_folder.metrics("grpo") if "reward" in row][-1]
    assert {"rewards/control/mean", "rewards/format_exact/mean", "rewards/format_approximate/mean"} <= set(last)
    assert any(key.startswith("reward_terms/") for key in last)
    assert any(key.startswith("verdicts/") for key in last)
    assert {"groups/largest_advantage", "groups/without_signal", "variance_share_of_rewards/control"} <= set(last)
    report = json.loads((run_folder.path / "evaluation.json").read_text())["double_integrator"]
    models = {"SFT greedy", "SFT sampled", "GRPO greedy", "GRPO sampled"}
    assert set(report["policies"]) == {"optimum J*", *models, "LQR"}
    assert re.search(r"\| LQR +\| 100.0 ", output)


def test_a_run_is_listed_and_evaluated_again(main_job, capsys, tmp_path):
    run, _ = main_job
    assert runs.main(["--root", str(run.path.parent)]) == 0
    assert f"{run.path.name}  " in capsys.readouterr().out
    assert evaluate.main([str(run.path), "--states", "4"]) == 0
    assert "4 held-out initial states" in capsys.readouterr().out
    assert evaluate.main([str(run.path / "sft"), "--states", "4", "--output-dir", str(tmp_path)]) == 0
    assert "sft greedy " in capsys.readouterr().out
    assert (tmp_path / "evaluation.json").exists()
    assert evaluate.main(["nothing/here"]) == 2
    assert capsys.readouterr().err.startswith("error: cannot load model 'nothing/here'")


def test_runs_are_shown_compared_pruned_and_pushed(main_job, capsys, tmp_path):
    run = RunFolder(shutil.copytree(main_job[0].path, tmp_path / "copy", symlinks=True))

    def said(*words):
        assert runs.main([str(word) for word in words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert "no such run" in said("list", "--root", tmp_path, "--system", "van_der_pol")
    assert "copy  " in said("list", "--root", tmp_path, "--kind", "specialist")
    shown = said("show", run.path)
    assert "python -m llm_agent.train_grpo --sft-config" in shown
    assert "| GRPO greedy " in shown
    assert "| copy GRPO sampled " in said("compare", run.path, main_job[0].path)
    assert runs.main(["compare", str(run.path)]) == 2
    assert "nothing to compare" in capsys.readouterr().err
    card = said("push", run.path, "me/model")
    assert "would upload model.safetensors" in card
    assert "double_integrator" in card
    assert runs.main(["push", str(run.path), "model"]) == 2
    (tmp_path / "begun").mkdir()
    record = {**run.record, "phases": {}}
    write_json(tmp_path / "begun" / "run.json", record)
    assert "would delete" in said("prune", "--root", tmp_path)
    assert list(run.path.glob("sft/checkpoint-*"))
    said("prune", "--root", tmp_path, "--apply")
    assert not list(run.path.glob("*/checkpoint-*"))
    assert not (tmp_path / "begun").exists()
    assert (run.path / "grpo" / "model.safetensors").exists()
    assert "nothing to delete" in said("prune", "--root", tmp_path)


def test_a_run_is_compared_with_the_classical_policies(main_job, capsys, tmp_path):
    run, _ = main_job
    flags = ["--states", "4", "--output-dir", str(tmp_path), "--ppo-dir", str(tmp_path / "none"), "--sampled"]
    assert compare.main([str(run.path), "tiny-base", *flags, "--replan-every", "25"]) == 0
    out = capsys.readouterr().out
    for name in (
        f"{run.path.name} SFT greedy",
        f"{run.path.name} GRPO sampled",
        "tiny-base greedy",
        "MPC",
        "optimum J*",
    ):
        assert f"| {name} " in out
    assert (tmp_path / "cost_map_double_integrator.png").exists()
    assert compare.main(["nothing/here", *flags]) == 2
    assert capsys.readouterr().err.startswith("error: cannot load model 'nothing/here'")


def test_a_run_is_written_into_a_page(main_job, tmp_path):
    run, _ = main_job
    page = tmp_path / "README.md"
    page.write_text("above\n<!-- begin: main job -->\nold\n<!-- end: main job -->\nbelow\n")
    for _ in range(2):
        assert report.main([str(run.path), "--into", str(page), "--pictures"]) == 0
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("\nbelow\n")
    assert "old" not in text
    assert "| LQR " in text
    assert "](docs/pictures/training.png)" in text
    assert (tmp_path / "docs" / "pictures" / "training.png").exists()


def test_a_page_of_the_docs_and_a_headline_are_written_too(main_job, tmp_path):
    run, _ = main_job
    page = tmp_path / "docs" / "results.md"
    page.parent.mkdir()
    page.write_text("<!-- begin: headline -->\n<!-- end: headline -->\n")
    flags = ["--into", str(page), "--marker", "headline", "--short", "--pictures"]
    assert report.main([str(run.path), *flags]) == 0
    assert "](pictures/training.png)" in page.read_text()
    assert (page.parent / "pictures" / "training.png").exists()
    assert "| policy " in page.read_text()
    assert "settling time" not in page.read_text()


def test_grpo_starts_from_another_runs_model(main_job, grpo):
    run, _ = main_job
    grpo("--sft-from", run.path, *GRPO)
    again = RunFolder.open()
    assert same_weights(again.path / "sft", run.path / "grpo")
    assert list(again.record["phases"]) == ["sft", "grpo", "evaluation"]


def test_same_seed_same_weights(main_job, sft_config, tmp_path):
    # In processes of their own, here and below: how a process's threads treat denormal numbers is settled when they
    # start, and this one's may have started before any command.
    run, _ = main_job
    finish("llm_agent.train_grpo", "--sft-config", sft_config, *GRPO, "--output-dir", "run", cwd=tmp_path)
    for phase in ("sft", "grpo"):
        assert same_weights(tmp_path / "run" / phase, run.path / phase), phase


@pytest.mark.parametrize("phase", ["sft", "grpo"])
def test_killed_and_resumed_ends_with_the_same_weights(main_job, sft_config, tmp_path, phase):
    whole, _ = main_job
    arguments = ["--sft-config", sft_config, *GRPO, "--output-dir", "run"]
    process = start("llm_agent.train_grpo", *arguments, cwd=tmp_path)
    mark = tmp_path / "run" / phase / "checkpoint-2" / "complete"
    deadline = time.monotonic() + 300
    while not mark.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    killed = RunFolder.open(tmp_path / "run")
    assert not killed.is_done(phase)
    # A checkpoint that a kill cut short is not read.
    (tmp_path / "run" / phase / "checkpoint-99").mkdir()
    last = Path(killed.last_checkpoint(phase))
    assert 0 < killed.seconds_before(phase) < 300
    (last / "complete").write_text("3600.0\n")  # as if it had taken an hour
    finish("llm_agent.train_grpo", "--resume", "--output-dir", "run", cwd=tmp_path)
    for done in ("sft", "grpo"):
        assert same_weights(killed.path / done, whole.path / done), done
    steps = [row["step"] for row in killed.metrics(phase) if "loss" in row]
    assert steps == sorted(set(steps))
    assert 3600 < killed.record["phases"][phase]["seconds"] < 3900


def test_sft_alone_on_all_plants_from_a_folder(tmp_path, grpo):
    save_tiny(tmp_path / "tiny", seed=5)
    output = grpo("--model", tmp_path / "tiny", "--system", "all", "--demonstrations", "expert", *SFT, kind="sft")
    assert "\ndouble_integrator, " in output
    assert "\nvan_der_pol, " in output
    assert not list(RunFolder.open().path.glob("sft/adapter*"))  # it is known for the tiny model, and trained whole


def test_zero_shot(grpo):
    output = grpo("--zero-shot", *GRPO, "--reward-version", "1.2")
    assert re.search(r"\[1/3\] sft: starting from \S*tiny-base$", output, re.MULTILINE)
    assert RunFolder.open().settings["reward_version"] == "1.2"


@pytest.mark.slow
def test_metrics_go_to_tensorboard_by_flag(grpo):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    grpo("--zero-shot", *GRPO, "--report_to", "tensorboard")
    (events,) = RunFolder.open().path.glob("grpo/runs/*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    tags = set(accumulator.Tags()["scalars"])
    wanted = {"train/rewards/control/mean", "train/reward_terms/terminal", "train/held_out/greedy/success"}
    assert wanted <= tags, tags


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--system", "van_der_poll"], "Did you mean 'van_der_pol'"),
        (["--reward-version", "7"], "Known versions"),
        (["--model", "no/such-model"], "cannot load model 'no/such-model'"),
        (["--zero-shot", "--sft-from", "x"], "exclude each other"),
        (["--perturbation", "-1"], "--perturbation must not be negative"),
        (["--variations", "2"], "--variations is a share"),
        (["--exploration", "2", "--reasoning", "states"], "--exploration is a share"),
        (["--exploration", "0.1"], "--exploration needs --reasoning states"),
        (["--sft-weight", "-1"], "--sft-weight must not be negative"),
        (["--curriculum", "2"], "--curriculum is a share"),
        (["--eval-every", "-1"], "--eval-every must not be negative"),
        (["--max_steps", "-1"], "--max_steps must be at least 1"),
        (["--resume", "--output-dir", "nowhere"], "nowhere holds no run"),
        (["--max_completion_length", "10"], "takes 57 tokens"),
        (["--report_to", "swanlab"], "--report_to swanlab needs a package"),
        (["--temperature", "0"], "--temperature must be positive, not 0.0 (GRPO phase)"),
        (["--learning_rate", "-1"], "--learning_rate must be 0 or more"),
        (["--per_device_train_batch_size", "0"], "--per_device_train_batch_size must be at least 1"),
        (["--sft-steps", "-3"], "--sft-steps must be at least 1, not -3"),
        (["--sft-steps", "0"], "--sft-steps must be at least 1, not 0"),
        (["--report_to", "foo"], "--report_to must be none or one of azure_ml, "),
        (["--loss_type", "foo"], "--loss_type must be one of grpo, "),
        (["--scale_rewards", "foo"], "--scale_rewards must be one of group, batch, none, not foo"),
        (["--importance_sampling_level", "foo"], "--importance_sampling_level must be one of token, sequence"),
        (["--multi_objective_aggregation", "foo"], "--multi_objective_aggregation must be one of"),
        (["--cache_implementation", "foo"], "--cache_implementation must be one of "),
        (["--lr_scheduler_kwargs", "foo"], "--lr_scheduler_kwargs must be JSON, such as"),
        (["--lr_scheduler_kwargs", "{foo"], "{foo is not JSON"),
        (["--lr_scheduler_kwargs", '{"foo": 1}'], "--lr_scheduler_type cosine with --lr_scheduler_kwargs {'foo': 1}: "),
        (["--generation_kwargs", "foo"], "--generation_kwargs must be JSON"),
        (["--generation_kwargs", '{"greedy_below": "x"}'], "greedy_below in --generation_kwargs is an entropy"),
        (["--push_to_hub"], "--push_to_hub needs the Hugging Face hub"),
        (["--delta", "-1"], "--delta must be positive"),
        (["--learning_rate", "inf"], "--learning_rate must be"),
        (["--reward_weights", "1", "2"], "--reward_weights takes 3 numbers, for control, "),
        (["--resume_from_checkpoint", "/nothere"], "continue a run with --resume"),
        (["--lora-alpha", "-1"], "--lora-alpha must be at least 1"),
        (["--top_p", "1.5"], "--top_p must be above 0 and at most 1"),
        (["--max_steps", "1.5"], "argument --max_steps/--max-steps: invalid int value: '1.5'"),
        (["--beta", "abc"], "invalid float value: 'abc'"),
        (["--maxsteps", "3"], "there is no flag or option --maxsteps. Did you mean --max_steps"),
        (["--systems", "all"], "there is no flag or option --systems. Did you mean --system"),
    ],
)
def test_bad_flags_get_one_line(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert train_grpo.main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert not (tmp_path / "runs").exists()
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max_length", "5"], "--max_length 5 would cut demonstrations of up to "),
        (["--loss_type", "foo"], "invalid choice: 'foo'"),
        (["--lr_scheduler_kwargs", "foo"], "--lr_scheduler_kwargs must be JSON"),
    ],
)
def test_bad_flags_of_sft_get_one_line(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert train_sft.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_those_that_trl_knows(name):
    """TRL has no lists of them; each must be named in its trainer or in its configuration."""
    sources = inspect.getsource(grpo_trainer) + inspect.getsource(grpo_config)
    assert [choice for choice in CHOICES[name] if f'"{choice}"' not in sources] == []
    assert GRPOConfig.__dataclass_fields__[name].default in CHOICES[name]


def test_a_disk_without_room_is_said_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10 * 2**20))
    with pytest.raises(ValueError, match=r"needs about \d+ MiB on the disk of .* which has 10 MiB free"):
        check_disk(tmp_path / "not" / "there" / "yet", weights=5_000_000, checkpoints=4)


def test_grpo_is_not_started_on_a_model_that_writes_no_plan(tmp_path, monkeypatch, capsys):
    """The run keeps its SFT model, which GRPO can be started from all the same."""
    monkeypatch.chdir(tmp_path)
    flags = ["--model", "tiny", "--sft-steps", "2", "--output-dir", "run", *GRPO]
    assert train_grpo.main(flags) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "hardly any completion for double_integrator holds a plan (" in line
    assert " 32 of 32)" in line or "of 32)" in line
    assert "--sft-from run" in line
    run = RunFolder.open("run")
    assert run.is_done("sft")
    assert not (run.path / "grpo").exists()
    assert train_grpo.main([*flags[:4], "--output-dir", "again", "--patience", "0", "--skip-report", *GRPO]) == 0
    text = (tmp_path / "again" / "evaluation.md").read_text()
    assert "SFT greedy, completions by verdict: " in text  # why no completion parses, and what one looks like
    assert "\n    " in text.partition("completions by verdict")[2]


def test_a_folder_that_is_taken_is_left_alone(main_job, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert train_grpo.main(["--output-dir", "mine"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert train_grpo.main(["--output-dir", str(main_job[0].path)]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


@pytest.mark.slow
def test_a_pretrained_model_trains_by_lora(tmp_path, grpo):
    """A pretrained architecture (Llama with random weights): adapter, GRPO from it, evaluation."""
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
    arguments += ["--patience", "0"]  # it writes no plan, and is trained all the same
    arguments += ["--max_steps", "1", "--num_generations", "4", "--per_device_train_batch_size", "4"]
    grpo(*arguments, "--eval-states", "2", "--output-dir", "run")
    for phase in ("sft", "grpo"):
        assert (tmp_path / "run" / phase / "adapter_model.safetensors").exists()
    prompt = "Control a double integrator"
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = {
            name: LLMPolicy.from_pretrained(tmp_path / name).model(tokens).logits for name in ("base", "run/sft", "run")
        }
    assert not torch.allclose(logits["base"], logits["run/sft"])


def test_completions_are_cut_off_where_a_flag_says(tmp_path, capsys):
    flags = ["--states", "2", "--max-new-tokens", "5", "--output-dir", str(tmp_path / "out")]
    assert evaluate.main(["tiny-double-integrator", *flags]) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())["double_integrator"]
    assert report["policies"]["tiny-double-integrator greedy"]["verdicts"] == {"missing_tags": 2}
