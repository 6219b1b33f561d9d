"""Bad input to every command: one line that names the argument, exit code 2, and no work begun."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from refusing import refusal

from baselines import compare as classical_compare
from baselines import ppo
from control_envs.utils.commands import guarded
from llm_agent import (
    animate,
    benchmark,
    checkpoints,
    compare,
    estimate,
    evaluate,
    export,
    fetch,
    leaderboard,
    play,
    report,
    runs,
    study,
    train_grpo,
    train_sft,
    tune,
)
from llm_agent.models.loading import resolve

COMMANDS = {
    animate: [],
    benchmark: ["lqr"],
    checkpoints: [],
    classical_compare: [],
    compare: [],
    estimate: [],
    evaluate: [],
    export: ["prompts", "--output-dir", "new"],
    fetch: ["smollm2-135m"],
    leaderboard: [],
    play: [],
    ppo: [],
    report: [],
    runs: ["list"],
    study: ["recipe"],
    train_grpo: [],
    train_sft: [],
    tune: ["ppo"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a file, another folder, and a run."""
    monkeypatch.chdir(tmp_path)
    Path("file.html").write_text("precious")
    Path("there").mkdir()
    Path("run").mkdir()
    Path("run/run.json").write_text(json.dumps({"settings": {"systems": ["van_der_pol"]}, "phases": {}}))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_an_unknown_flag_gets_one_line(command, capsys):
    assert "--no-such-flag" in refusal(command.main, [*COMMANDS[command], "--no-such-flag"], capsys)


def test_every_command_is_tried():
    here = Path(__file__).parents[2]
    names = {
        f"{path.parent.name}.{path.stem}" for room in ("llm_agent", "baselines") for path in here.glob(f"{room}/*.py")
    }
    no_commands = {"llm_agent.__init__", "baselines.__init__", "llm_agent.policy", "llm_agent.trl_rewards"}
    no_commands.add("llm_agent.__main__")  # runs the others
    assert names - no_commands == {command.__name__ for command in COMMANDS}


def test_commands_have_one_parser():
    """`control_envs.utils.commands.Parser`; `own_help` of the training commands only prints."""
    here = Path(__file__).parents[2]
    found = [
        path.relative_to(here).as_posix()
        for room in ("baselines", "llm_agent", "benchmarks", "examples")
        for path in here.glob(f"{room}/**/*.py")
        if "ArgumentParser(" in path.read_text()
    ]
    assert found == ["llm_agent/training/flags.py"]


def test_flags_are_not_abbreviated(capsys):
    assert "--state 5" in refusal(classical_compare.main, ["--state", "5"], capsys)
    assert "--test" in refusal(tune.main, ["ppo", "--test", "5"], capsys)


@pytest.mark.parametrize(
    ("command", "flags", "said"),
    [
        (ppo, ["--total-timesteps", "0"], "--total-timesteps: must be a whole number of at least 1, not '0'"),
        (ppo, ["--total-timesteps", "-5"], "--total-timesteps: must be"),
        (ppo, ["--seeds", "0"], "--seeds: must be a whole number of at least 1"),
        (ppo, ["--config", "none.yaml"], "--config none.yaml: there is no such file"),
        (ppo, ["--config", "there"], "--config there: this is a folder"),
        (classical_compare, ["--states", "1.5"], "--states: must be a whole number of at least 1, not '1.5'"),
        (classical_compare, ["--process-noise", "nan"], "--process-noise: must be a number of at least 0, not 'nan'"),
        (classical_compare, ["--measurement-noise", "inf"], "--measurement-noise: must be"),
        (classical_compare, ["--ppo-dir", "file.html"], "--ppo-dir file.html is not a folder"),
        (classical_compare, ["--system", "van_der_pol_hard", "--reach", "2"], "nothing to reach beyond"),
        (compare, ["none/such", "--seed", "-1"], "--seed: must be a whole number of at least 0, not '-1'"),
        (compare, ["none/such", "--reach", "0.5"], "--reach: must be a number of at least 1, not '0.5'"),
        (compare, ["none/such", "--replan-every", "0"], "--replan-every: must be a whole number of at least 1"),
        (compare, ["--best-of", "2", "--replan-every", "1"], "--best-of picks whole plans"),
        (compare, [], "there is no run runs/latest: start one with  python -m llm_agent.train_grpo, or name a model"),
        (evaluate, [], "there is no run runs/latest: start one with  python -m llm_agent.train_grpo, or name a model"),
        (evaluate, ["run", "--system", "all"], "--system is for models that are not runs"),
        (evaluate, ["run", "--set", "horizon=20"], "--set is for models that are not runs"),
        (evaluate, ["run", "--output-dir", "new"], "--output-dir is for models that are not runs"),
        (report, [], "runs/latest holds no run (there is no run.json in it): start one with"),
        (report, ["run", "--output", "there"], "--output there is a folder: give a file"),
        (report, ["run", "--output", "file.html/x.html"], "--output file.html/x.html: file.html is not a folder"),
        (report, ["run", "--into", "none.md"], "--into none.md: there is no such file"),
        (animate, ["--into", "file.html/x.gif"], "--into file.html/x.gif: file.html is not a folder"),
        (animate, ["--system", "all"], "--system takes one plant here"),
        (play, ["--system", "all"], "--system takes one plant here"),
        (tune, ["ppo", "--system", "all"], "--system takes one plant here"),
        (tune, ["ppo", "--space", "none.yaml"], "--space none.yaml: there is no such file"),
        (tune, ["ppo", "--trials", "0"], "--trials: must be a whole number of at least 1, not '0'"),
        (runs, ["list", "--system", "van_der_poll"], "Did you mean 'van_der_pol'"),
        (study, ["recipe", "--jobs", "0"], "--jobs: must be a whole number of at least 1"),
        (study, ["recipe", "--only", "none"], "--only none: no variant is called so, but "),
        (study, ["recipe", "--learning_rate", "abc"], "--learning_rate"),
        (estimate, ["--accelerate-config", "none.yaml"], "--accelerate-config none.yaml: there is no such file"),
        (train_sft, ["--resume", "runs/x"], "--resume is yes or no, not 'runs/x'"),
        (estimate, ["--processes", "0"], "--processes: must be a whole number of at least 1"),
        (estimate, ["--learning_rate", "-1"], "--learning_rate must be 0 or more, not -1.0 (GRPO phase)"),
        (estimate, ["--max_steps", "0"], "--max_steps must be at least 1"),
    ],
)
def test_bad_flags_get_one_line(command, flags, said, folder, capsys):
    before = sorted(folder.rglob("*"))
    assert said in refusal(command.main, flags, capsys)
    assert sorted(folder.rglob("*")) == before
    assert (folder / "file.html").read_text() == "precious"


def test_a_list_of_runs_understands_system_as_all_commands_do(capsys):
    Path("runs").mkdir()
    record = {"started": "2026-01-01T12:00:00", "phases": {}, "settings": {"model": "tiny-base", "seed": 0}}
    for name, plants in (
        ("a", ["double_integrator"]),
        ("b", ["van_der_pol(mu=2)"]),
        ("c", ["attitude", "van_der_pol"]),
    ):
        Path("runs", name).mkdir()
        settings = {**record["settings"], "systems": plants}
        Path("runs", name, "run.json").write_text(json.dumps({**record, "settings": settings}))
    for system, shown in (
        ("double_integrator,attitude", "ac"),
        ("van_der_pol", "bc"),
        ("all", "abc"),
        ("attitude", "c"),
    ):
        assert runs.main(["list", "--system", system]) == 0
        assert "".join(re.findall(r"^([abc]) ", capsys.readouterr().out, re.MULTILINE)) == shown, system


def test_an_error_of_a_file_names_the_file_in_one_line(capsys):
    assert guarded(lambda: Path("none.md").read_text() and None) == 2
    assert capsys.readouterr().err == "error: none.md: No such file or directory\n"

    def fail():
        raise ValueError("two\n  lines")

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "error: two lines\n"


def test_the_hub_is_named_before_it_is_asked(monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for _ in range(2):
        assert resolve("some/model-of-this-test") == "some/model-of-this-test"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("asking the Hugging Face hub for some/model-of-this-test")


def test_a_full_disk_is_said_of_an_export(capsys, monkeypatch):
    def write(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write)
    assert export.main(["prompts", "--count", "5", "--held-out", "5", "--output-dir", "new"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: new/train.parquet: No space left on device"
    assert not any(Path("new").iterdir())
