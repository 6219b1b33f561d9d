"""Failures around a run: full disks, two processes, damaged files, diverged trainings."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from control_envs.utils.commands import CommandError
from control_envs.utils.files import locked, write_json
from llm_agent import evaluate, runs, train_grpo, train_sft
from llm_agent.models.loading import load_model
from llm_agent.models.tiny import save_tiny
from llm_agent.models.tokenizer import build_tokenizer
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training import rewards as trl_rewards
from llm_agent.training.guards import StopOnFailure

SMALL = ["--max_steps", "2", "--per_device_train_batch_size", "8", "--eval-states", "2", "--skip-report"]
GRPO = ["--zero-shot", "--num_generations", "4", *SMALL]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fails(capsys, kind, flags, code=2):
    """The one line that the command prints when it fails."""
    assert {"sft": train_sft, "grpo": train_grpo}[kind].main([str(flag) for flag in flags]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run that is done."""
    path = tmp_path_factory.mktemp("finished") / "run"
    assert train_grpo.main([*GRPO, "--output-dir", str(path)]) == 0
    return RunFolder.open(path)


# -- files ---------------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(folder, finished):
    """Files larger than 100 kB cannot be written: demonstrations can, the model cannot."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_agent.train_grpo", *GRPO, "--output-dir", "run"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "continue with --resume --output-dir" in done.stderr.splitlines()[-1]
    assert not list((folder / "run").rglob(".part-*"))
    assert train_grpo.main(["--resume", "--output-dir", "run"]) == 0
    for name in ("grpo/model.safetensors", "metrics.jsonl"):
        assert (folder / "run" / name).read_bytes() == (finished.path / name).read_bytes() or name.endswith("jsonl")


def test_a_folder_that_cannot_be_written(folder, capsys):
    (folder / "file").write_text("")
    assert "file" in fails(capsys, "grpo", [*GRPO, "--output-dir", "file/run"])


def test_a_run_that_was_moved_goes_on_where_it_is(folder, finished):
    """Its record names the folder it was created in; nothing is written there."""
    shutil.copytree(finished.path, folder / "moved", symlinks=True)
    record = json.loads((folder / "moved" / "run.json").read_text())
    del record["phases"]["grpo"], record["phases"]["evaluation"]
    write_json(folder / "moved" / "run.json", record)
    before = {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")}
    assert train_grpo.main(["--resume", "--output-dir", "moved"]) == 0
    assert {p: p.stat().st_mtime_ns for p in finished.path.rglob("*")} == before
    assert (folder / "moved/grpo/model.safetensors").read_bytes() == (
        finished.path / "grpo/model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": 3}', "\x00\x01"])
def test_a_damaged_record_is_said_to_be(folder, capsys, content):
    (folder / "runs" / "r").mkdir(parents=True)
    (folder / "runs" / "r" / "run.json").write_text(content)
    assert "run.json is" in fails(capsys, "grpo", ["--resume", "--output-dir", "runs/r"])
    assert evaluate.main(["runs/r"]) == 2
    assert runs.main([]) == 0
    assert "run.json is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.yaml", None, "missing.yaml"),
        ("tiny_gpro.yaml", None, "the preset tiny-grpo?"),
        ("list.yaml", "- 1\n- 2\n", "list.yaml"),
        ("broken.yaml", "a: [", "broken.yaml"),
        ("binary.yaml", b"\x80\x81\xff", "binary.yaml"),
        ("unknown.yaml", "learning_rat: 1\n", "learning_rat"),
    ],
)
def test_invalid_configs(folder, capsys, name, content, said):
    if content is not None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in fails(capsys, "grpo", [*GRPO, "--config", name])
    assert not (folder / "runs").exists()


def test_a_resumed_run_is_not_given_other_settings(finished, capsys):
    said = fails(capsys, "grpo", ["--resume", "--output-dir", finished.path, "--system", "van_der_pol"])
    assert "leave --system out" in said


def test_models_that_are_not_what_they_claim(folder, capsys):
    save_tiny(folder / "short")
    weights = folder / "short" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot load model" in fails(capsys, "grpo", [*GRPO, "--model", "short", "--output-dir", "run"])
    save_tiny(folder / "pickled")
    (folder / "pickled" / "model.safetensors").unlink()
    torch.save({}, folder / "pickled" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot load model"):  # a pickle is not opened
        load_model("pickled")
    (folder / "code").mkdir()
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    write_json(folder / "code" / "config.json", config)
    build_tokenizer().save_pretrained(folder / "code")
    (folder / "code" / "mine.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    with pytest.raises(ValueError, match="cannot load model"):
        load_model("code")
    assert not (folder / "ran").exists()


def test_a_tokenizer_of_another_model(folder):
    save_tiny(folder / "mixed")
    tokenizer = build_tokenizer()
    tokenizer.add_tokens([f"<{i}>" for i in range(10)])
    tokenizer.save_pretrained(folder / "mixed")
    with pytest.raises(ValueError, match="do not belong together"):
        load_model("mixed")


# -- processes -----------------------------------------------------------------------------------------------


def test_two_processes_in_one_folder(finished, capsys):
    code = (
        "import sys; from pathlib import Path; from control_envs.utils.files import locked\n"
        "with locked(Path(sys.argv[1])): print(1, flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(finished.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "1\n"
    said = fails(capsys, "grpo", ["--resume", "--output-dir", finished.path])
    assert "another process is working in" in said
    assert evaluate.main([str(finished.path), "--states", "2"]) == 2
    holder.kill()  # a lock goes with its process
    holder.wait()
    with locked(finished.path):
        pass


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(monkeypatch):
    import llm_agent.storage.run_folder as module

    class Noon(module.datetime):
        @classmethod
        def now(cls):
            return cls(2026, 1, 1, 12)

    monkeypatch.setattr(module, "datetime", Noon)
    made = {RunFolder.create(None, "x", {}).path.name for _ in range(3)}
    assert made == {"20260101-120000-x", "20260101-120000-x-2", "20260101-120000-x-3"}


# -- trainings that break ------------------------------------------------------------------------------------


def test_non_finite_weights_end_the_training(capsys):
    said = fails(capsys, "sft", ["--model", "tiny", *SMALL, "--learning_rate", "1e30", "--warmup_steps", "0"], 1)
    assert "sft stopped at step" in said
    assert "non-finite weights" in said
    assert "there is no checkpoint yet" in said


def test_a_policy_without_variance_ends_the_training(capsys):
    flags = ["--max_steps", "20", "--temperature", "1e-4", "--bf16", "False", "--patience", "3", "--save_steps", "1"]
    said = fails(capsys, "grpo", [*GRPO, *flags], 1)
    assert "for 3 steps all completions of each group had the same reward" in said
    assert re.search(r"the last good checkpoint is \S+/checkpoint-\d+\. ", said)


def test_completions_without_a_plan_are_counted_and_do_not_end_the_training():
    assert train_grpo.main(["--model", "tiny", *GRPO, "--patience", "1"]) == 0
    rows = [row for row in RunFolder.open().metrics("grpo") if "loss" in row]
    assert [row["groups/without_plan"] for row in rows] == [1.0, 1.0]
    assert [row["control/parsed"] for row in rows] == [0.0, 0.0]


def test_a_parse_rate_that_falls_ends_the_training(finished):
    guard = StopOnFailure(finished, "grpo", patience=4, least_parsed=0.5)
    args, state = SimpleNamespace(logging_steps=2), SimpleNamespace(global_step=8)

    def log(parsed):
        guard.on_log(args, state, None, {"groups/without_signal": 0.0, "control/parsed": parsed})

    for parsed in (0.0, 0.0, 0.0, 0.6, 0.1, 0.9, 0.1):
        log(parsed)
    with pytest.raises(CommandError, match=r"for 4 steps fewer than 50% of the completions had a plan"):
        log(0.2)


def test_a_bug_in_a_reward_is_not_hidden(monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(trl_rewards, "score_completions", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        train_grpo.main(GRPO)


# -- secrets -------------------------------------------------------------------------------------------------


def test_a_hub_token_is_not_written_to_files(folder, capsys):
    said = fails(capsys, "grpo", [*GRPO, "--hub_token", "hf_secret"])
    assert "HF_TOKEN" in said
    assert "hf_secret" not in said
    assert not (folder / "runs").exists()


def test_no_pickle_is_among_what_a_run_leaves(finished):
    left = {p.suffix for p in finished.path.rglob("*") if p.is_file() and "checkpoint-" not in str(p)}
    kinds = {".json", ".jsonl", ".md", ".html", ".png", ".safetensors", ".parquet", ".jinja", ".bin", ".lock", ""}
    assert left <= kinds
    for path in finished.path.rglob("*.bin"):
        assert path.name == "training_args.bin"  # transformers writes it; nothing of ours reads it
    assert np.isfinite(finished.metrics("grpo")[-1]["step"])
