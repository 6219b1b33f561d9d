"""Hyperparameter search: real trials with tiny budgets, several processes, a real kill."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from refusing import refusal

pytest.importorskip("trl")
pytest.importorskip("stable_baselines3")
optuna = pytest.importorskip("optuna")

import yaml
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner

from baselines import ppo as ppo_command
from baselines.controllers import ppo, ppo_policy
from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import format_completion, format_prompt, get_system, sample_states, score_completions
from llm_agent import train_sft, tune
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.training.arguments import parse
from llm_agent.tuning import grpo as tune_grpo
from llm_agent.tuning import search as tune_search
from llm_agent.tuning import study as tune_study
from llm_agent.tuning.grpo import GRPOTrials
from llm_agent.tuning.ppo import PPOTrials
from llm_agent.tuning.spaces import SPACES, Choice, Range, with_changes

SYSTEM = get_system("double_integrator")
SMALL_PPO = {"n_steps": 25, "n_epochs": 4, "batch_size": [100, 200], "net_arch": [[16, 16], [32]]}
SMALL_GRPO = {"num_generations": 4, "per_device_train_batch_size": 8, "num_iterations": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo.yaml").write_text(yaml.safe_dump(SMALL_PPO))
    (tmp_path / "grpo.yaml").write_text(yaml.safe_dump(SMALL_GRPO))
    return tmp_path


@pytest.fixture(scope="module")
def sft(tmp_path_factory):
    """A run of train_sft, cut short."""
    path = tmp_path_factory.mktemp("sft") / "run"
    few = ["--max_steps", "2", "--per_device_train_batch_size", "4", "--eval-states", "2"]
    assert train_sft.main([*few, "--output-dir", str(path)]) == 0
    return path


def search_ppo(*more, trials=2):
    return ["ppo", "--trials", str(trials), "--steps", "800", "--states", "10", "--space", "ppo.yaml", *more]


def search_grpo(sft, *more, trials=2):
    return ["grpo", "--sft-from", str(sft), "--trials", str(trials), "--steps", "2", "--states", "6", *more]


def load(name="ppo-double_integrator", storage=None):
    storage = tune_study.open_storage(storage or f"runs/tune/{name}/journal.log")
    return optuna.load_study(study_name=name, storage=storage)


def start(*args):
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "llm_agent.tune", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def states(study):
    return [t.state.name for t in study.trials]


# -- whole searches ------------------------------------------------------------------------------------------


def test_grpo_trials_are_judged_on_validation_states(sft, capsys, monkeypatch):
    asked = []

    def expert(self, prompts, greedy, seed):
        """LQR's plans (a few training steps do not teach the format)."""
        asked.append((sorted(prompts), greedy))
        return [texts[prompt] for prompt in prompts]

    x0 = sample_states(SYSTEM, 6, "validation", seed=0)
    plans = [format_completion(u) for u in simulate_feedback(SYSTEM, x0, lqr(SYSTEM)[0]).u]
    texts = dict(zip([format_prompt(SYSTEM, x) for x in x0], plans, strict=True))
    monkeypatch.setattr(LLMPolicy, "act", expert)
    assert tune.main(search_grpo(sft, "--space", "grpo.yaml")) == 0
    assert asked == [(sorted(texts), False)] * 2
    study = load("grpo-double_integrator")
    assert states(study) == ["COMPLETE", "COMPLETE"]
    assert study.best_value == pytest.approx(score_completions(SYSTEM, x0, plans).total.mean())
    assert list(study.trials[0].intermediate_values) == [1, 2]
    out = capsys.readouterr().out
    assert re.search(r"\[2/2\] trial 1: \d+.*, best \d", out)
    assert "| trial | value " in out
    run = "runs/tune/grpo-double_integrator"
    assert not os.path.exists(f"{run}/trial_0000/grpo")
    assert not os.path.exists("runs/latest")
    job = parse("grpo", ["--config", f"{run}/best.yaml"])
    assert job.start == str(sft)
    assert job.grpo.learning_rate == study.best_params["learning_rate"]
    assert (job.grpo.max_steps, job.grpo.num_generations, job.grpo.save_strategy) == (2, 4, "steps")


def test_a_ppo_search_in_sqlite_and_what_its_best_settings_train(capsys):
    assert tune.main(search_ppo("--storage", "study.db")) == 0
    study = load(storage="study.db")
    assert states(study) == ["COMPLETE", "COMPLETE"]
    assert list(study.trials[0].intermediate_values) == list(range(5, 11, 5))  # rollouts of 400 steps
    best = "runs/tune/ppo-double_integrator/best.yaml"
    assert f"--system double_integrator --seed 0 --config {best}" in capsys.readouterr().out
    assert ppo_command.main(["--config", best, "--no-progress"]) == 0
    trial = f"runs/tune/ppo-double_integrator/trial_{study.best_trial.number:04d}"
    policies = [
        ppo_policy.load_policy(ppo.run_folder(Path(root), SYSTEM, 0), SYSTEM).start(np.zeros((9, 2)))
        for root in (trial, "runs/ppo")
    ]
    x = sample_states(SYSTEM, 9, "validation")
    np.testing.assert_array_equal(policies[0].control(x, 0), policies[1].control(x, 0))


def test_a_finished_search_is_not_repeated_and_can_be_lengthened(capsys, monkeypatch):
    monkeypatch.setattr(PPOTrials, "run", lambda self, trial, settings, folder: settings["learning_rate"])
    for trials, expected in ((2, 2), (2, 2), (3, 3)):
        assert tune.main(search_ppo(trials=trials)) == 0
        assert len(load().trials) == expected
    params = [t.params["learning_rate"] for t in load().trials]
    # Continued or in one go: the same trials.
    assert tune.main(search_ppo("--study", "again", trials=3)) == 0
    assert [t.params["learning_rate"] for t in load("again").trials] == params
    assert len(set(params)) == 3


def test_two_processes_share_one_study():
    workers = [start(*search_ppo(trials=6)) for _ in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [w.returncode for w in workers] == [0, 0], outputs
    study = load()
    assert set(states(study)) == {"COMPLETE"}
    assert len(study.trials) in (6, 7)  # one too many if both looked at the same moment
    assert {t.user_attrs["worker"]["pid"] for t in study.trials} == {w.pid for w in workers}
    assert len({tuple(map(str, t.params.values())) for t in study.trials}) == len(study.trials)
    with open("runs/tune/ppo-double_integrator/best.yaml") as file:
        assert yaml.safe_load(file)["n_steps"] == 25


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_the_trial_of_a_killed_process_is_replaced(capsys, monkeypatch):
    flags = ["ppo", "--trials", "2", "--space", "ppo.yaml"]
    process = start(*flags)
    deadline = time.monotonic() + 60
    while not os.path.exists("runs/tune/ppo-double_integrator/trial_0000"):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)  # and not waited for: a zombie is dead as well
    monkeypatch.setattr(PPOTrials, "run", lambda self, trial, settings, folder: 1.0)
    assert tune.main(flags) == 0
    process.communicate()
    assert states(load()) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert "the process of trial 0 died" in capsys.readouterr().out


def test_a_worker_waits_for_the_last_trials_of_others(monkeypatch):
    study = optuna.create_study()
    trial = study.ask()
    trial.set_user_attr(tune_study.WORKER, {"host": "elsewhere", "pid": 1})
    trial.set_user_attr(tune_study.ALIVE, time.time())
    said = []
    assert not tune_study.await_turn(study, 1, time.monotonic() + 0.1, said.append)
    assert "other processes run the last 1" in said[0]
    assert tune_study.await_turn(study, 2, np.inf, said.append)
    monkeypatch.setattr(tune_study, "SILENCE", 0.0)
    assert tune_study.await_turn(study, 1, np.inf, said.append)  # it died: another trial may run
    assert states(study) == ["FAIL"]


def test_workers_that_begin_at_once_make_one_database():
    with ThreadPoolExecutor(4) as workers:
        opened = list(workers.map(tune_study.open_storage, ["new.db"] * 4))
    assert [len(storage.get_all_studies()) for storage in opened] == [0] * 4


def test_heartbeats_continue(monkeypatch):
    monkeypatch.setattr(tune_study, "BEAT", 0.01)
    study = optuna.create_study()
    with tune_study.SignsOfLife(study.ask()):
        first = study.trials[0].user_attrs["alive"]
        time.sleep(0.2)
        assert study.trials[0].user_attrs["alive"] > first


class PruneAll(BasePruner):
    def prune(self, study, trial):
        return True


@pytest.mark.parametrize("kind", ["grpo", "ppo"])
def test_pruned_trials_end_at_once_and_count_as_finished(kind, request, capsys, monkeypatch):
    monkeypatch.setattr(tune_study, "make_pruner", lambda name, length: PruneAll())
    if kind == "grpo":
        flags = search_grpo(request.getfixturevalue("sft"), "--space", "grpo.yaml", trials=1)
    else:
        flags = search_ppo(trials=1)
    assert tune.main(flags) == 0
    study = load(f"{kind}-double_integrator")
    assert states(study) == ["PRUNED"]
    assert len(study.trials[0].intermediate_values) == 1
    out = capsys.readouterr().out
    assert "[1/1] trial 0: pruned at report" in out
    assert "no trial is complete yet" in out


def test_pruners():
    assert isinstance(tune_study.make_pruner("none", 100), NopPruner)
    assert isinstance(tune_study.make_pruner("hyperband", 2), HyperbandPruner)
    median = tune_study.make_pruner("median", 100)
    assert isinstance(median, MedianPruner)
    study = optuna.create_study(direction="maximize", pruner=median)

    def objective(trial):
        for step in range(1, 30):
            trial.report(-trial.number, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return -trial.number

    study.optimize(objective, n_trials=6)
    assert states(study) == ["COMPLETE"] * 5 + ["PRUNED"]
    assert study.trials[5].last_step == 20


def test_ctrl_c_ends_with_what_was_found(capsys, monkeypatch):
    def run(self, trial, settings, folder):
        if trial.number == 2:
            raise KeyboardInterrupt
        return float(trial.number)

    monkeypatch.setattr(PPOTrials, "run", run)
    assert tune.main(search_ppo(trials=9)) == 130
    captured = capsys.readouterr()
    assert "best of 2 complete trials: trial 1, 1" in captured.out
    assert captured.err == "stopped: run the same command to continue the study\n"
    assert states(load()) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert os.path.exists("runs/tune/ppo-double_integrator/best.yaml")


def test_a_trial_that_fails_does_not_end_the_search_but_many_do(capsys, monkeypatch):
    def run(self, trial, settings, folder):
        if trial.number == 0 or trial.number > 2:
            raise RuntimeError("the weights\nare infinite")
        return np.nan if trial.number == 1 else 1.0

    monkeypatch.setattr(tune_search, "PATIENCE", 3)
    monkeypatch.setattr(PPOTrials, "run", run)
    assert tune.main(search_ppo(trials=1)) == 0
    assert states(load()) == ["FAIL", "FAIL", "COMPLETE"]
    out = capsys.readouterr().out
    assert "trial 0: failed: the weights are infinite" in out
    assert "trial 1: failed: its value is not a number" in out
    assert tune.main(search_ppo(trials=2)) == 2
    assert "3 trials in a row failed, the last because: the weights are infinite" in capsys.readouterr().err


def test_timeout_begins_no_further_trial(capsys, monkeypatch):
    def run(self, trial, settings, folder):
        time.sleep(0.3)
        return 1.0

    monkeypatch.setattr(PPOTrials, "run", run)
    assert tune.main(search_ppo("--timeout", "0.2", trials=9)) == 0
    assert len(load().trials) == 1


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["ppo", "--states", "0"], "--states: must be a whole number of at least 1, not '0'"),
        (["ppo", "--timeout", "-1"], "--timeout must be positive"),
        (["ppo", "--steps", "5"], "--steps must be at least 10 for PPO"),
        (["ppo", "--system", "van_der_poll"], "Did you mean 'van_der_pol'"),
        (["ppo", "--space", "none.yaml"], "none.yaml"),
        (["ppo", "--space", "grpo.yaml"], "--space must hold NAME: VALUE, with names among total_timesteps"),
        (["ppo", "--storage", "ppo.yaml"], "cannot open the storage ppo.yaml"),
        (["ppo", "--storage", "nosuchdatabase://x"], "cannot open the storage nosuchdatabase://x"),
        (["grpo", "--sft-from", "no/such-run"], "cannot load model 'no/such-run'"),
        (["grpo", "--sft-from", "tiny", "--system", "pendulum"], "pendulum"),
        (["grpo", "--sft-from", "tiny", "--reward-version", "9"], "Known versions"),
        (["grpo", "--sft-from", "tiny", "--space", "ppo.yaml"], "train_grpo has no option 'batch_size'"),
    ],
)
def test_bad_flags_get_one_line(argv, said, capsys):
    assert said in refusal(tune.main, argv, capsys)
    assert not os.path.exists("runs/tune")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("just words", "must contain NAME: VALUES"),
        ("learning_rate: {low: 1}", "has low, high and optionally log"),
        ("learning_rate: {low: 2, high: 1}", "must go up"),
        ("learning_rate: {low: 0, high: 1, log: true}", "must start above 0"),
        ("learning_rate: {low: little, high: 1}", "low must be a number, not 'little'"),
        ("learning_rate: []", "is an empty list"),
        ("learning_rate: fast", "learning_rate cannot be 'fast'"),
        ("reward: money", "reward must be stage_cost or score"),
        ("total_timesteps: 100", "cannot be searched"),
    ],
)
def test_a_bad_space_gets_one_line(text, said, capsys, folder):
    (folder / "bad.yaml").write_text(text)
    assert said in refusal(tune.main, ["ppo", "--space", "bad.yaml"], capsys)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "is not YAML"), ("[1]", "must hold NAME: VALUE"), ("net_arch: 5", "net_arch cannot be 5")],
)
def test_ppo_refuses_a_bad_config(text, said, capsys, folder):
    (folder / "bad.yaml").write_text(text)
    assert ppo_command.main(["--config", "bad.yaml"]) == 2
    assert said in capsys.readouterr().err
    assert not os.path.exists("runs")


def test_a_space_file_changes_fixes_and_leaves_out(folder):
    text = "learning_rate: {low: 1e-4, high: 1e-2, log: true}\nn_steps: {low: 1, high: 3}\ngamma: null\nent_coef: 0.0\n"
    (folder / "space.yaml").write_text(text)
    space = with_changes(SPACES["ppo"], folder / "space.yaml")
    assert space["learning_rate"] == Range(1e-4, 1e-2, log=True)
    assert "gamma" not in space
    assert space["ent_coef"] == Choice((0.0,))
    trial = optuna.create_study().ask()
    assert space["n_steps"].suggest(trial, "n_steps") in (1, 2, 3)
    assert space["net_arch"].suggest(trial, "net_arch") in SPACES["ppo"]["net_arch"].values


def test_a_study_is_of_one_task_and_a_folder_of_one_study(capsys, monkeypatch, sft):
    for trials in (PPOTrials, GRPOTrials):
        monkeypatch.setattr(trials, "run", lambda self, trial, settings, folder: 1.0)
    flags = ["--study", "mine", "--trials", "1"]
    assert tune.main(["ppo", *flags]) == 0
    capsys.readouterr()
    other = "'mine' in runs/tune/mine/journal.log has another task: its system"
    assert other in refusal(tune.main, ["ppo", *flags, "--system", "van_der_pol"], capsys)
    assert "its states is 200, not 9" in refusal(tune.main, ["ppo", *flags, "--states", "9"], capsys)
    assert "its kind is 'ppo', not 'grpo'" in refusal(tune.main, ["grpo", "--sft-from", str(sft), *flags], capsys)
    assert "its space" in refusal(tune.main, ["ppo", *flags, "--space", "ppo.yaml"], capsys)
    os.makedirs("runs/tune/mine/trial_0000")
    assert "holds trials of another study" in refusal(tune.main, ["ppo", *flags, "--storage", "other.db"], capsys)


def test_a_start_is_kept_by_its_own_name(folder, monkeypatch):
    (folder / "runs").mkdir()
    (folder / "runs" / "one").mkdir()
    (folder / "runs" / "latest").symlink_to("one")
    assert tune_grpo._permanent_name("runs/latest") == "runs/one"
    assert tune_grpo._permanent_name(str(folder / "runs" / "one")) == "runs/one"
    assert tune_grpo._permanent_name("org/model") == "org/model"


# -- imports -------------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy_and_shows_the_spaces():
    code = """
import runpy, sys
sys.argv = ["tune", "ppo", "--help"]
try:
    runpy.run_module("llm_agent.tune", run_name="__main__")
except SystemExit as end:
    print(end.code, [m for m in ("torch", "trl", "transformers", "casadi", "optuna") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("0 []\n"), done.stdout + done.stderr
    assert "gae_lambda" in done.stdout


@pytest.mark.parametrize(("hidden", "extra"), [("optuna", "tune"), ("stable_baselines3", "ppo")])
def test_a_missing_extra_names_the_cure(hidden, extra):
    code = f"""
import runpy, sys
sys.modules[{hidden!r}] = None
sys.argv = ["tune", "ppo"]
runpy.run_module("llm_agent.tune", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"[{extra}]'")
    assert len(done.stderr.strip().splitlines()) == 1
