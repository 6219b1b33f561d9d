"""The commands: compare and ppo, run as a user runs them."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from refusing import refusal

from baselines import ppo as ppo_command
from baselines.compare import main as compare
from baselines.controllers import ppo, ppo_policy
from control_envs import get_system, sample_states
from control_envs.envs import ControlEnv
from control_envs.envs.wrappers import StageCostReward


def test_a_comparison_repeats_and_says_what_it_skipped(tmp_path, capsys):
    flags = ["--system", "double_integrator", "--states", "30", "--ppo-dir", str(tmp_path / "none"), "--best-reward"]
    flags += ["--process-noise", "0.01", "--measurement-noise", "0.01", "--param", "mass=1.5", "--reach", "1.2"]
    assert compare([*flags, "--output-dir", str(tmp_path / "a")]) == 0
    first = capsys.readouterr()
    assert compare([*flags, "--output-dir", str(tmp_path / "b"), "--no-pictures", "--no-cache"]) == 0
    again = capsys.readouterr()
    assert first.out == again.out
    assert "seed 0" in first.out
    assert "PPO was skipped: train it with `python -m baselines.ppo --system double_integrator`." in first.out
    for title in ("J/J*, feasible", "of best reward %", "MPC - LQR", "true mass=1.5: J/J*", "x1.2: success %"):
        assert title in first.out
    assert "time per decision" in first.err
    report = json.loads((tmp_path / "a" / "comparison_double_integrator.json").read_text())
    assert set(report["policies"]) == {"optimum J*", "LQR", "finite-horizon LQR", "MPC"}
    share = report["policies"]["LQR"]["measures"]["reward_share"]["mean"]
    assert 0.97 < share < 1.0
    for kind in ("trajectories", "cost_ratios", "cost_map"):
        assert (tmp_path / "a" / f"{kind}_double_integrator.png").stat().st_size > 10_000
    assert not list((tmp_path / "b").glob("*.png"))


def test_skipping_mpc(tmp_path, capsys):
    flags = ["--states", "5", "--policies", "lqr,mpc", "--skip-mpc", "--output-dir", str(tmp_path), "--no-pictures"]
    assert compare(flags) == 0
    out = capsys.readouterr().out
    assert "MPC was skipped: --skip-mpc." in out
    assert "MPC" not in json.loads((tmp_path / "comparison_double_integrator.json").read_text())["policies"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--system", "doble_integrator"], "Did you mean 'double_integrator'"),
        (["--policies", "lqr,pid"], "no classical policy 'pid'"),
        (["--param", "mass"], "NAME=VALUE"),
        (["--param", "mu=2"], "no setting 'mu'"),
        (["--mpc-solver", "nosuch"], "no solver 'nosuch'"),
        (["--process-noise", "-1"], "--process-noise: must be a number of at least 0"),
    ],
)
def test_bad_flags_get_one_line(flags, says, tmp_path, capsys):
    assert says in refusal(compare, ["--states", "3", "--output-dir", tmp_path, *flags], capsys)


# -- PPO -----------------------------------------------------------------------------------------------------

SMALL = {"total_timesteps": 8000, "n_envs": 4}


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_stage_costs_add_up_to_j():
    system = get_system("double_integrator")
    env = StageCostReward(ControlEnv(system), scale=10.0, price=7.0)
    env.reset(options={"x0": [0.9, 0.9]})
    total, done = 0.0, False
    while not done:
        _, reward, done, _, info = env.step(np.array([0.0]))
        total += reward
    violations = info["metrics"]["state_violations"] + info["metrics"]["control_violations"]
    assert violations > 0
    assert total == pytest.approx(-(info["metrics"]["cost"] + 7.0 * violations) / 10.0)


def weights(folder):
    from safetensors.torch import load_file

    return {key: value.numpy() for key, value in load_file(folder / ppo.POLICY).items()}


def test_a_killed_ppo_run_ends_with_the_same_weights(tmp_path):
    pytest.importorskip("stable_baselines3")
    system = get_system("double_integrator")
    settings = ppo.settings_for(system, **SMALL)
    whole = ppo.train(system, 3, settings, tmp_path / "whole", progress=False)
    code = (
        "import sys; from pathlib import Path\n"
        "from baselines.controllers import ppo; from control_envs import get_system\n"
        f"s = get_system('double_integrator'); set = ppo.settings_for(s, **{SMALL!r})\n"
        "ppo.train(s, 3, set, Path(sys.argv[1]), progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")])
    folder = ppo.run_folder(tmp_path / "killed", system, 3)
    while not list(folder.glob(f"checkpoint_*/{ppo.MODEL}")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / ppo.POLICY).exists()
    assert ppo_policy.trained_policies(tmp_path / "killed", system) == []
    with pytest.raises(ValueError, match="--resume"):
        ppo.train(system, 3, settings, tmp_path / "killed", progress=False)
    with pytest.raises(ValueError, match="other settings"):
        ppo.train(system, 3, ppo.settings_for(system), tmp_path / "killed", resume=True, progress=False)
    resumed = ppo.train(system, 3, settings, tmp_path / "killed", resume=True, progress=False)
    first, second = weights(whole), weights(resumed)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    (policy,) = ppo_policy.trained_policies(tmp_path / "killed", system)
    (same,) = ppo_policy.trained_policies(tmp_path / "whole", system)
    x0 = sample_states(system, 5)
    u = policy.start(x0).control(x0, 0)
    assert np.array_equal(u, same.start(x0).control(x0, 0))
    assert u.shape == (5, 1)
    assert ppo_policy.trained_policies(tmp_path / "whole", system.replace(mass=2.0)) == []


def test_the_ppo_command(tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    flags = ["--system", "van_der_pol", "--total-timesteps", "2000", "--output-dir", str(tmp_path), "--no-progress"]
    assert ppo_command.main(flags) == 0
    assert ppo_command.main(flags) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert ppo_command.main([*flags, "--resume"]) == 0
    out = ["--system", "van_der_pol", "--states", "5", "--policies", "ppo", "--ppo-dir", str(tmp_path)]
    assert compare([*out, "--output-dir", str(tmp_path / "c"), "--no-pictures"]) == 0
    assert "PPO seed 0" in capsys.readouterr().out


@pytest.mark.slow
def test_ppo_comes_near_lqr(tmp_path):
    from baselines.evaluation.results import evaluate
    from baselines.optimum import solver as optimum

    pytest.importorskip("stable_baselines3")
    system = get_system("double_integrator")
    folder = ppo.train(system, 0, output=tmp_path)
    x0 = sample_states(system, 500)
    result = evaluate(ppo_policy.load_policy(folder, system), system, x0, optimum.solve_all(system, x0).cost)
    assert result.values["success"].mean() > 0.98
    assert np.median(result.values["cost_ratio_kept"]) < 1.05
