import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import REWARDS, SYSTEMS, get_reward, get_system, measure, score, simulate
from control_envs.dynamics.riccati import finite_horizon_lqr
from control_envs.rewards import DEFAULT_VERSION
from control_envs.rewards.running import running_scores

PUBLISHED = ("1.0", "1.1", "1.2", "1.3")  # versions with independently computed values
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rewards.json").read_text())


def golden_trajectory(case):
    return simulate(get_system(case["system"]), case["x0"], np.array(case["controls"])[:, None])


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['system']}-{c['kind']}")
@pytest.mark.parametrize("version", PUBLISHED)
def test_golden_values(case, version):
    trajectory, expected = golden_trajectory(case), case["expected"]
    np.testing.assert_allclose(trajectory.x[-1], expected["final_state"], atol=1e-9)
    assert measure(trajectory).violations == expected["violations"]
    result, wanted = score(trajectory, version), expected["rewards"][version]
    assert set(result.terms) == set(wanted["terms"])
    for name, value in wanted["terms"].items():
        assert result.terms[name] == pytest.approx(value, abs=1e-9), name
    assert result.total == pytest.approx(wanted["total"], abs=1e-9)


def test_golden_values_in_one_batch():
    for name in SYSTEMS:
        cases = [c for c in GOLDEN["cases"] if c["system"] == name]
        if not cases:
            continue
        controls = np.array([c["controls"] for c in cases])[..., None]
        trajectories = simulate(get_system(name), [c["x0"] for c in cases], controls)
        for version in PUBLISHED:
            totals = [c["expected"]["rewards"][version]["total"] for c in cases]
            np.testing.assert_allclose(score(trajectories, version).total, totals, atol=1e-9)


def test_version_1_1_shapes_with_training_progress():
    trajectory = golden_trajectory(GOLDEN["cases"][0])
    start, end = score(trajectory, "1.1", 0.0), score(trajectory, "1.1", 1.0)
    for name in ("terminal", "constraints"):
        assert end.terms[name] == pytest.approx(3 * start.terms[name])
    for name in ("lqr", "smoothness", "validity"):
        assert end.terms[name] == start.terms[name]
    for version in set(REWARDS) - {"1.1"}:
        assert score(trajectory, version, 0.7).total == score(trajectory, version).total
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        score(trajectory, "1.1", 1.5)


def test_start_at_the_origin():
    """d_0 = 0: progress is all or nothing."""
    system = get_system("double_integrator")
    stay, leave = simulate(system, [0, 0], np.zeros((50, 1))), simulate(system, [0, 0], np.full((50, 1), 0.5))
    assert score(stay).terms["progress"] == 30
    assert score(leave).terms["progress"] == 0
    assert score(stay).total == pytest.approx(163, abs=1e-9)


plans = arrays(np.float64, (3, 20, 1), elements=st.floats(-1e6, 1e6))
starts = arrays(np.float64, (3, 2), elements=st.floats(-2, 2))


@settings(deadline=None)
@given(x0=starts, controls=plans)
def test_every_score_is_finite_and_in_its_range(x0, controls):
    for system in SYSTEMS.values():
        if system.n != 2 or system.m != 1:
            continue
        trajectory = simulate(system, x0, controls)
        for version, spec in REWARDS.items():
            result = score(trajectory, version)
            assert np.all(np.isfinite(result.total))
            assert np.all(result.total >= spec.bounds[0] - 1e-9)
            assert np.all(result.total <= spec.bounds[1] + 1e-9)
            if spec.floor is None:
                np.testing.assert_allclose(sum(result.terms.values()), result.total)


def test_permuting_a_batch_permutes_its_scores(system):
    rng = np.random.default_rng(0)
    x0, u = system.sample_x0(rng, 16), rng.uniform(-5, 5, (16, system.horizon, system.m))
    order = rng.permutation(16)
    for version in REWARDS:
        permuted = score(simulate(system, x0[order], u[order]), version).total
        assert np.array_equal(score(simulate(system, x0, u), version).total[order], permuted)


def test_versions_are_found_by_name_and_survive_pickling():
    assert get_reward(DEFAULT_VERSION).version == "1.3"
    assert pickle.loads(pickle.dumps(get_reward("1.2"))) is get_reward("1.2")
    with pytest.raises(ValueError, match="Known versions"):
        get_reward("9")


def test_version_2_0_is_lqr_cost_over_cost_less_violations(system):
    """From states where no bound is active LQR scores about 100, twice its cost half of that, and violations cost."""
    x0 = 0.05 * system.x_scale
    P = finite_horizon_lqr(system)[1]
    trajectory = simulate_feedback(system, x0, lqr(system)[0])
    lqr_ratio = score(trajectory, "2.0").terms["lqr_ratio"]
    assert lqr_ratio == pytest.approx(100 * (x0 @ P @ x0 + 1e-3) / (measure(trajectory).cost + 1e-3))
    assert 90 < lqr_ratio < 110
    wild = simulate(system, x0, np.full((system.horizon, system.m), 1e3))
    assert -10 < score(wild, "2.0").terms["constraints"] < -8
    assert get_reward("2.0").no_answer < get_reward("2.0").wrong_count < score(wild, "2.0").total


def test_running_scores_are_the_scores_of_the_plans_so_far(system):
    rng = np.random.default_rng(0)
    x0, u = system.sample_x0(rng, 5), rng.uniform(-6, 6, (5, system.horizon, system.m))
    for version in REWARDS:
        running = running_scores(system, x0, u, version)
        for k in (1, 2, system.horizon):
            np.testing.assert_allclose(
                running[:, k - 1], score(simulate(system, x0, u[:, :k]), version).total, atol=1e-9
            )
