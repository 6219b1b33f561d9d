"""``--set NAME=VALUE``: problems of any size from every command, and the same problem everywhere after."""

import json
import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import pyarrow.parquet as pq

from baselines import compare as classical
from baselines import ppo
from control_envs import get_system
from llm_agent import compare, estimate, evaluate, export, play, report, train_grpo, train_sft
from llm_agent.evaluation.trajectories import system_of
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.arguments import parse

NAME = "double_integrator(dt=0.2,horizon=25)"
SET = ["--set", "horizon=25", "--set=dt=0.2"]
SFT = "max_steps: 2\nper_device_train_batch_size: 4\ngradient_accumulation_steps: 1\n"
GRPO = ["--max_steps", "2", "--num_generations", "2", "--per_device_train_batch_size", "4", "--patience", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training on a changed plant."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "sft.yaml").write_text(SFT)
    flags = [*SET, "--sft-config", str(folder / "sft.yaml"), *GRPO, "--eval-states", "4", "--skip-report"]
    assert train_grpo.main([*flags, "--output-dir", str(folder / "run")]) == 0
    return RunFolder.open(folder / "run")


def test_a_run_trains_and_evaluates_on_the_changed_plant(run):
    assert run.settings["systems"] == [NAME]
    rows = pq.read_table(run.path / "data" / "demonstrations.parquet").to_pydict()
    assert set(rows["system"]) == {NAME}
    assert all("with 25 controls, one every 0.20 s" in prompt for prompt in rows["prompt"])
    (found,) = run.evaluation().values()
    assert list(run.evaluation()) == [NAME]
    assert found["system"] == get_system(NAME).to_dict()
    assert system_of(found) is get_system(NAME) or system_of(found).horizon == 25


def test_its_page_states_the_settings(run, capsys):
    assert report.main([str(run.path)]) == 0
    page = (run.path / "report.html").read_text()
    assert NAME in page
    assert re.search(r"id=.double_integrator\(dt=0\.2,horizon=25\)", page)


def test_models_are_evaluated_and_compared_on_it(run, tmp_path, capsys):
    assert evaluate.main([str(run.path / "sft"), *SET, "--states", "3", "--output-dir", str(tmp_path / "out")]) == 0
    assert list(json.loads((tmp_path / "out" / "evaluation.json").read_text())) == [NAME]
    flags = [*SET, "--states", "3", "--policies", "lqr,mpc,ppo", "--output-dir", str(tmp_path / "table")]
    assert compare.main([str(run.path / "sft"), *flags]) == 0
    assert f"`python -m baselines.ppo --system '{NAME}'`" in capsys.readouterr().out


def test_classical_controllers_are_compared_and_trained_on_it(tmp_path, capsys):
    changed = ["--set", "horizon=10", "--set", "Q=10,1"]
    flags = [*changed, "--output-dir", str(tmp_path), "--no-progress", "--total-timesteps", "100"]
    assert ppo.main(flags) == 0, capsys.readouterr().err
    assert "double_integrator(horizon=10,Q=[10,1]), seed 0" in capsys.readouterr().out
    flags = [*changed, "--states", "3", "--ppo-dir", str(tmp_path), "--no-pictures"]
    assert classical.main([*flags, "--output-dir", str(tmp_path / "out")]) == 0
    assert "PPO seed 0" in capsys.readouterr().out


def test_exports_estimates_and_plays_it(tmp_path, capsys):
    flags = ["--count", "5", "--held-out", "2", "--output-dir", str(tmp_path / "data")]
    assert export.main(["prompts", *SET, *flags]) == 0
    assert set(pq.read_table(tmp_path / "data" / "test.parquet").to_pydict()["system"]) == {NAME}
    tokens = []
    for settings in ([], ["--set", "horizon=5"]):
        assert estimate.main(["--model", "tiny-base", *settings]) == 0
        tokens.append(int(re.search(r"\d+ \+ (\d+)", capsys.readouterr().out)[1]))
    assert tokens[0] > 3 * tokens[1]
    assert play.main(["--terminal", "--x0", "0.4,-0.2", *SET]) == 0
    assert "25 controls" in capsys.readouterr().out


def test_a_file_of_flags_and_the_command_line_add_up(tmp_path):
    (tmp_path / "flags.yaml").write_text("set: [dt=0.5, horizon=10]\nmax_steps: 1\n")
    job = parse("sft", ["--config", str(tmp_path / "flags.yaml"), "--set", "horizon=12", "--output_dir", "x"])
    assert job.args.systems == ["double_integrator(dt=0.5,horizon=12)"]


def test_a_file_of_flags_may_hold_a_list_of_plants_and_a_single_setting(tmp_path):
    (tmp_path / "flags.yaml").write_text("system: [attitude, van_der_pol]\nset: horizon=12\n")
    job = parse("sft", ["--config", str(tmp_path / "flags.yaml"), "--output_dir", "x"])
    assert job.args.systems == ["attitude(horizon=12)", "van_der_pol(horizon=12)"]


@pytest.mark.parametrize("command", [train_sft, evaluate, compare, classical, ppo, play])
def test_a_setting_that_no_plant_has_is_one_line(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["--set", "mu=2"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: double_integrator has no setting 'mu'")
