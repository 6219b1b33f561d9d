"""Reasoning that carries the state: every number follows from its neighbours, and the answer repeats the controls."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from baselines.lqr import fly_feedback, lqr
from baselines.optimum import solve_all
from control_envs import SYSTEMS, format_completion, format_prompt, get_system, measure, parse_completion, sample_states
from llm_agent.dataset import demonstrate, demonstration_rows, make_demonstrations
from llm_agent.laws import parse_law
from llm_agent.models import completion_room, load_tokenizer
from llm_agent.reasoning_errors import written_errors
from llm_agent.sft import NumberTargets, tokenize
from llm_agent.state_reasoning import STATE_DECIMALS, TRAJECTORY, format_trajectory, parse_trajectory, rollout
from llm_agent.tokenizer import build_tokenizer, number_families, writes_states

LONG = get_system("van_der_pol").replace(horizon=120)
ENOUGH_FOR_A_STEP = 0.5 * 10.0**-STATE_DECIMALS + 1e-12


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@st.composite
def trajectories(draw):
    """States (N, n) and controls (N, m) of any plant, on their grids."""
    n, m, steps = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 130))
    x = draw(arrays(np.int64, (steps, n), elements=st.integers(-99_999, 99_999))) / 10**STATE_DECIMALS
    u = draw(arrays(np.int64, (steps, m), elements=st.integers(-1_500, 1_500))) / 100
    return x, u


# -- the text ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(trajectories())
def test_a_trajectory_comes_back(trajectory):
    x, u = trajectory
    states, controls = parse_trajectory(format_trajectory(x, u), x.shape[1], u.shape[1])
    assert np.array_equal(states, x)
    assert np.array_equal(controls, u)


@given(st.text())
def test_reading_a_trajectory_never_raises(text):
    found = parse_trajectory(text, 2, 1)
    assert found is None or found[0].shape[1] == 2


def test_what_is_no_trajectory_is_none():
    assert parse_trajectory("feedback k1=3.2 k2=2.5", 2, 1) is None  # gains alone
    assert parse_trajectory(f"{TRAJECTORY}0.0000+0.40, 0.0000+-0.20", 2, 1) is None  # no whole step
    assert parse_trajectory("0.0000+0.40, 0.0000+-0.20, -1.00", 2, 1) is None  # the word is missing


# -- demonstrations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("perturbation", [0.0, 0.15])
@pytest.mark.parametrize("plant", [*SYSTEMS.values(), LONG], ids=[*SYSTEMS, "long"])
def test_every_number_follows_from_its_neighbours(plant, perturbation):
    made = demonstrate(plant, sample_states(plant, 12, "train"), "varied", 1, perturbation, carries_state=True)
    for row in demonstration_rows(made, "states"):
        reasoning = re.search("<REASONING>(.*)</REASONING>", row["completion"])[1]
        x, u = parse_trajectory(reasoning, plant.n, plant.m)
        _, taught = parse_trajectory(row["taught"].partition("</REASONING>")[0], plant.n, plant.m)
        K = parse_law(row["completion"], plant.n, plant.m)
        assert np.array_equal(x[0], row["x0"])
        feedback = plant.saturate(-x @ K.T)
        np.testing.assert_allclose(taught, feedback, atol=0.005 + 1e-9)
        np.testing.assert_allclose(x[1:], plant.step(x[:-1], u[:-1]), atol=ENOUGH_FOR_A_STEP)
        for text in (row["completion"], row["taught"]):  # the answer is the plan that the states belong to
            assert np.array_equal(parse_completion(text, plant.horizon, plant.m).controls, u)
        assert (row["taught"] == row["completion"]) == (perturbation == 0)


def test_rounding_the_states_costs_next_to_nothing(system):
    made = demonstrate(system, sample_states(system, 100, "train"), "varied", 1, carries_state=True)
    unrounded = fly_feedback(system, made.flights.x[:, 0], made.K, decimals=2)
    costs = [measure(flights).cost.mean() for flights in (made.flights, unrounded)]
    assert costs[0] == pytest.approx(costs[1], rel=5e-3)


def test_rollouts_saturate_what_errors_push_out():
    system = get_system("double_integrator")
    made = rollout(system, np.array([[0.4, 0.0]]), lambda k, x: -5.0 * x.sum(1, keepdims=True), np.full((3, 1, 1), 9.0))
    assert np.all(made.u == 3.0)
    assert np.all(made.feedback < 0)


# -- tokens --------------------------------------------------------------------------------------------------


def test_tokens_of_a_trajectory(tokenizer, system):
    """One token a control, two a state's component, and as many for what is taught as for what is read."""
    rows, _ = make_demonstrations([system.name], 8, perturbation=0.15, reasoning="states")
    gains = 2 * system.n * system.m
    step = 2 * system.n + system.m
    for row in rows:
        ids = tokenizer(row["completion"]).input_ids
        assert len(ids) == gains + 1 + system.horizon * (step + system.m) + 2
        assert tokenizer.decode(ids) == row["completion"]
    assert len(tokenize(rows, tokenizer)) == len(rows)  # which would raise were the lengths different


@given(st.integers(-49_949, 49_949), st.integers(-500, 500))
def test_a_state_is_two_tokens_whatever_its_sign(tokenizer, state, control):
    text = format_trajectory([[state / 10**STATE_DECIMALS]], [[control / 100]])
    ids = tokenizer(format_completion([[0.0]], text)).input_ids
    fine, coarse, u = (tokenizer.decode([i]) for i in ids[1:4])
    assert f"{TRAJECTORY}{fine}{coarse}{u}" == text
    assert fine.endswith("+")
    assert float(fine[:-1]) + float(coarse[:-2]) == pytest.approx(state / 10**STATE_DECIMALS, abs=1e-9)
    assert -0.005 <= float(fine[:-1]) < 0.005


def test_targets_stay_within_their_form(tokenizer):
    """Fine parts have neighbours among themselves, and so has each form of a control value."""
    forms = [{re.sub(r"-?[\d.]+", "#", tokenizer.decode([i])) for i in family} for family in number_families(tokenizer)]
    assert sorted(*zip(*forms, strict=True)) == ["#", "#+", "#, ", "#; "]
    targets = NumberTargets(tokenizer, width=0.06)
    label = tokenizer("0.0005+0.40, 0.00").input_ids[0]
    reached = {tokenizer.decode([i]) for i in targets._neighbours[label].tolist()}
    assert {"0.0008+", "0.0002+"} < reached
    assert all(text.endswith("+") for text in reached)


def test_room_for_an_answer_depends_on_what_the_tokenizer_can_write(tokenizer):
    older = load_tokenizer("tiny-base")
    assert writes_states(tokenizer)
    assert not writes_states(older)
    assert completion_room(older, ["double_integrator"], None) < 120
    room = completion_room(tokenizer, ["van_der_pol_hard"], None)
    system = get_system("van_der_pol_hard")
    asked = len(tokenizer(format_prompt(system, np.zeros(system.n))).input_ids)
    assert 600 < room < tokenizer.model_max_length - asked


# -- the constrained optimum ---------------------------------------------------------------------------------


def test_optimal_demonstrations_keep_the_bounds_and_cost_what_the_optimum_costs(system):
    x0 = sample_states(system, 4, "train")
    made = demonstrate(system, x0, "optimal", carries_state=True)
    optimum = solve_all(system, made.flights.x[:, 0], cache=False)
    metrics = measure(made.flights)
    assert metrics.violations.sum() == 0
    np.testing.assert_allclose(metrics.cost, optimum.cost, rtol=0.05)
    for row in demonstration_rows(made, "states"):
        assert row["completion"].startswith(f"<REASONING>{TRAJECTORY}")
        x, u = parse_trajectory(row["completion"].partition("</REASONING>")[0], system.n, system.m)
        np.testing.assert_allclose(x[1:], system.step(x[:-1], u[:-1]), atol=ENOUGH_FOR_A_STEP)


def test_optimal_demonstrations_keep_a_bound_that_lqr_breaks():
    system = get_system("double_integrator_hard")
    x0 = sample_states(system, 60, "train")
    made = demonstrate(system, x0, "optimal")
    assert measure(fly_feedback(system, x0, lqr(system)[0], 2)).violations.any()
    assert made.dropped == 0
    assert measure(made.flights).violations.sum() == 0
    assert made.K is None


@pytest.mark.parametrize("style", ["none", "brief", "waypoints"])
def test_optimal_demonstrations_state_no_gains(style):
    rows, card = make_demonstrations(["double_integrator"], 6, "optimal", perturbation=0.1, reasoning=style)
    assert card["count"] == 6
    for row in rows:
        assert parse_law(row["completion"], 2, 1) is None
        assert parse_completion(row["taught"], 50).verdict == "ok"
    assert any(row["taught"] != row["completion"] for row in rows)


# -- errors of what is written -------------------------------------------------------------------------------


def test_a_demonstration_has_no_errors(system):
    made = demonstrate(system, sample_states(system, 3, "train"), "varied", carries_state=True)
    for row in demonstration_rows(made, "states"):
        errors = written_errors(system, np.array(row["x0"]), row["completion"])
        assert np.abs(errors.start).max() == 0
        assert np.abs(errors.states).max() < ENOUGH_FOR_A_STEP
        assert np.abs(errors.controls).max() < 1e-9
        assert errors.repeats.all()
        assert errors.states.shape == (system.horizon - 1, system.n)


def test_errors_are_found_where_they_are():
    system = get_system("double_integrator")
    x, u = np.array([[0.4, -0.2], [0.3831, -0.13]]), np.array([[0.7], [-0.5]])
    text = f"<REASONING>feedback k1=1.0 k2=1.0; {format_trajectory(x, u)}</REASONING><CONTROLS>0.70</CONTROLS>"
    errors = written_errors(system, np.array([0.4, -0.25]), text)
    np.testing.assert_allclose(errors.start, [0, 0.05])
    np.testing.assert_allclose(errors.states, [[-0.0004, 0.0]], atol=1e-9)
    np.testing.assert_allclose(errors.controls, [[0.9], [-0.25]])
    assert len(errors.repeats) == 0  # there is no plan of fifty controls
    assert written_errors(system, x[0], "<REASONING>feedback k1=1.0 k2=1.0</REASONING>") is None
