"""Reward hacking: plans that only look like control score below LQR."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import REWARDS, get_system, sample_states, score, score_completions, simulate
from control_envs.text import format_completion
from llm_agent.training.rewards import reward_functions

BOUNDED = [version for version in REWARDS if version >= "1.3"]


def zeros(system, x0):
    return np.zeros((len(x0), system.horizon, system.m))


def another_states_plan(system, x0):
    return simulate_feedback(system, np.roll(x0, 1, axis=0), lqr(system)[0]).u


def bang_bang(system, x0):
    """The sign of LQR's control at full strength."""
    x, plan = x0, []
    for _ in range(system.horizon):
        u = -x @ lqr(system)[0].T
        plan.append(np.where(u > 0, system.u_bounds[:, 1], system.u_bounds[:, 0]))
        x = system.step(x, plan[-1])
    return np.stack(plan, axis=1)


def out_of_the_box_and_back(system, x0):
    """Full speed outwards for a third of the time, then LQR."""
    third = system.horizon // 3
    away = np.where(x0 @ lqr(system)[0].T > 0, system.u_bounds[:, 1], system.u_bounds[:, 0])
    start = np.repeat(away[:, None], third, axis=1)
    reached = simulate(system, x0, start).x[:, -1]
    return np.concatenate([start, simulate_feedback(system, reached, lqr(system)[0]).u[:, third:]], axis=1)


def bounds_as_walls(system, x0):
    """Against a bound for the whole trajectory, as if it held the plant."""
    return np.broadcast_to(system.u_bounds[:, 1], (len(x0), system.horizon, system.m)).copy()


def far_beyond_saturation(system, x0):
    """LQR's controls times a million: what the plant gets is bang-bang."""
    return 1e6 * simulate_feedback(system, x0, lqr(system)[0]).u


CHEATS = [zeros, another_states_plan, bang_bang, out_of_the_box_and_back, bounds_as_walls, far_beyond_saturation]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda c: c.__name__)
def test_no_cheat_beats_lqr(system, cheat):
    x0 = sample_states(system, 300)
    honest = simulate_feedback(system, x0, lqr(system)[0])
    trajectory = simulate(system, x0, cheat(system, x0))
    for version in REWARDS:
        assert score(trajectory, version).total.mean() < score(honest, version).total.mean(), version


def test_an_early_end_is_no_plan(system):
    """Half a plan does not pass for one, whatever its half would have scored."""
    x0 = sample_states(system, 8)
    half = [format_completion(u[: system.horizon // 2]) for u in simulate_feedback(system, x0, lqr(system)[0]).u]
    for version in BOUNDED:
        scores = score_completions(system, x0, half, version)
        assert set(scores.verdicts) == {"wrong_count"}
        assert (scores.total < REWARDS[version].bounds[0]).all()


def test_from_1_3_on_every_plan_scores_above_every_text_without_one(system):
    for version, spec in REWARDS.items():
        without = max(spec.no_answer, spec.wrong_count)
        assert (spec.bounds[0] > without) == (version in BOUNDED)
    worst = simulate(system, system.x0_bounds[:, 1], bounds_as_walls(system, np.zeros((1, system.n)))[0])
    assert score(worst, "1.0").total < REWARDS["1.0"].no_answer  # what 1.3 was published to mend


extremes = st.one_of(st.floats(-1e308, 1e308), st.sampled_from([1.7e308, -1.7e308, 5e-324, 0.0, -0.0]))


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (2, 50, 1), elements=extremes), arrays(np.float64, (2, 2), elements=st.floats(-1e6, 1e6)))
def test_rewards_are_finite_for_every_number_there_is(controls, x0):
    for name in ("double_integrator", "van_der_pol"):
        trajectory = simulate(get_system(name), x0, controls)
        for version, spec in REWARDS.items():
            total = score(trajectory, version).total
            assert np.isfinite(total).all()
            assert (total >= spec.bounds[0] - 1e-9).all()
            assert (total <= spec.bounds[1] + 1e-9).all()


def test_1_3_is_nearly_flat_among_bad_plans():
    """Where it is weak: far beyond its caps, twice the error and ten times the violations move it by a few points."""
    system = get_system("double_integrator")
    u = np.array([0.5, 1.0, 2.0, 3.0])[:, None, None] * np.ones((4, system.horizon, 1))
    trajectory = simulate(system, np.tile([0.8, 0.8], (4, 1)), u)
    assert (trajectory.x[:, -1, 0] > 5).all()
    assert np.ptp(score(trajectory, "1.3").total) < 15
    assert np.ptp(score(trajectory, "1.1").total) > 1000


def test_a_mixed_batch_scores_as_its_rows_alone():
    """Plants, plans, and texts without one, in any order."""
    rng = np.random.default_rng(0)
    systems = ["double_integrator", "van_der_pol"] * 4
    x0 = [get_system(name).sample_x0(rng).tolist() for name in systems]
    texts = ["", "<CONTROLS>1</CONTROLS>"] + [format_completion(rng.uniform(-3, 3, (50, 1))) for _ in range(6)]
    order = rng.permutation(8)
    for version in REWARDS:
        for reward in reward_functions(version):
            whole = reward(prompts=[""] * 8, completions=texts, system=systems, x0=x0)
            alone = [
                reward(prompts=[""], completions=[t], system=[s], x0=[x])[0]
                for t, s, x in zip(texts, systems, x0, strict=True)
            ]
            shuffled = [[values[i] for i in order] for values in (texts, systems, x0)]
            moved = reward(prompts=[""] * 8, completions=shuffled[0], system=shuffled[1], x0=shuffled[2])
            assert whole == alone
            assert moved == [whole[i] for i in order]
