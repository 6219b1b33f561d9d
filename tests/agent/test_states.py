"""Reasoning that carries the state: every number follows from its neighbours, and the answer repeats the controls."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from peft import LoraConfig, get_peft_model

from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.optimum.solver import solve_all
from control_envs import SYSTEMS, format_completion, format_prompt, get_system, measure, parse_completion, sample_states
from llm_agent.data.component_sum import FINE_STEPS, STATE_DECIMALS, TENTH, Steps, split
from llm_agent.data.demonstrations import (
    KINDS,
    DemonstrationConfig,
    demonstrate,
    demonstration_rows,
    make_demonstrations,
)
from llm_agent.data.reasoning import WITH_STATES, parse_gains
from llm_agent.data.rollout import draw_exploration, rollout
from llm_agent.data.step_sums import step_sums
from llm_agent.data.teachers import GainTeacher, OptimalTeacher
from llm_agent.data.trajectory_text import TRAJECTORY, format_trajectory, parse_trajectory
from llm_agent.data.working import ARGUMENT, CHANGE, FROM_TENTH, LABELS, PART, REMAINDER, SUM, work
from llm_agent.data.working_text import WORKING
from llm_agent.evaluation.written_states import step_errors
from llm_agent.models.lengths import completion_room
from llm_agent.models.loading import load_model
from llm_agent.models.tiny import renewed
from llm_agent.models.tokenizer import build_tokenizer, longest_reasoning, number_families
from llm_agent.training.number_targets import NumberTargets
from llm_agent.training.sft import IGNORED, tokenize
from llm_agent.training.wrong_steps import WrongSteps

LONG = get_system("van_der_pol").replace(horizon=120)
ENOUGH_FOR_A_STEP = 0.5 * 10.0**-STATE_DECIMALS + 1e-12


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@st.composite
def trajectories(draw):
    """A plant, states (N, n) and controls (N, m) on their grids."""
    system, steps = get_system(draw(st.sampled_from(sorted(SYSTEMS)))), draw(st.integers(1, 130))
    x = draw(arrays(np.int64, (steps, system.n), elements=st.integers(-99_999, 99_999))) / 10**STATE_DECIMALS
    u = draw(arrays(np.int64, (steps, system.m), elements=st.integers(-1_500, 1_500))) / 100
    return system, x, u


def written(row, system):
    """The states and controls of a row's completion, and the controls taught in their place."""
    reasoning = [row[key].partition("</REASONING>")[0] for key in ("completion", "taught")]
    (x, u), (_, taught) = (parse_trajectory(text, system) for text in reasoning)
    return x, u, taught


# -- the text ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(trajectories())
def test_a_trajectory_comes_back(trajectory):
    system, x, u = trajectory
    for working in (None, work(system, x, u)):
        states, controls = parse_trajectory(format_trajectory(x, u, working), system)
        assert np.array_equal(states, x)
        assert np.array_equal(controls, u)


@given(st.text())
def test_reading_a_trajectory_never_raises(text):
    found = parse_trajectory(text, LONG)
    assert found is None or found[0].shape[1] == 2


def test_what_is_no_trajectory_is_none():
    plant = get_system("double_integrator")
    assert parse_trajectory("feedback k1=3.2 k2=2.5", plant) is None  # only gains
    assert parse_trajectory(f"{TRAJECTORY}0.0000+0.40, 0.0000+-0.20", plant) is None  # not a whole step
    first = f"{WORKING} x1 0.0000+0.40, x2 0.0000+-0.20, -1.00"
    assert parse_trajectory(first, plant) is not None
    assert parse_trajectory(f"{first} p 0.0000 s 0.00", plant) is None  # half a working
    assert parse_trajectory(first.replace("x2", "x3"), plant) is None  # another label
    assert parse_trajectory(f"{TRAJECTORY}0.0000+0.40, -0.20, -1.00", plant) is None  # a state without its fine part
    assert parse_trajectory("0.0000+0.40, 0.0000+-0.20, -1.00", plant) is None  # the word is missing


# -- the working ---------------------------------------------------------------------------------------------


def test_the_working_is_what_long_addition_writes():
    """x1+ = x1 + 0.1 x2 + 0.005 u and x2+ = x2 + 0.1 u, from (0.5641, 0.2438) with -2.4."""
    plant = get_system("double_integrator")
    x = np.array([[0.5641, 0.2438], [0.5641 + 0.02438 - 0.012, 0.2438 - 0.24]]).round(STATE_DECIMALS)
    made = work(plant, x, np.array([[-2.4], [0.0]]))
    text = format_trajectory(x, [[-2.4], [0.0]], made)
    # 0.0041 + 0.00038 + (0.024 - 0.02) = 0.0085; with (-0.012 + 0.01) it is 0.0065, which is -0.0035 and a carry.
    first = "p 0.0040 s 0.85 p -0.0020 s 0.65 d 0.02 e -0.02"  # from 0.56, near 0.6, to 0.58
    second = "p 0.0000 s 0.38 d -0.24 e -0.20"  # from 0.24, near 0.2, to 0.00
    state = "x1 0.0041+0.56, x2 0.0038+0.24, -2.40"
    assert text == f"{WORKING} {state} {first} {second} x1 -0.0035+0.58, x2 0.0038+0.00, 0.00"


def workings(system, kind="varied", exploration=0.0, horizon=None):
    """The states (N, n) and controls (N, m) of demonstrations, with the working of their steps."""
    system = system.replace(horizon=horizon or system.horizon)
    asked = DemonstrationConfig(kind, "working", exploration=exploration)
    made = demonstrate(system, sample_states(system, 20, "train"), asked, 1)
    return [(x, u, work(system, x, u)) for x, u in zip(made.states, made.written, strict=True)]


def components(working):
    """The working's numbers by component: each ends with a change and the distance from a tenth."""
    letters = [letter for letter, _ in working] + [""]
    ends = [k + 1 for k, letter in enumerate(letters) if letter == FROM_TENTH and letters[k + 1] != ARGUMENT]
    return [working[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def test_every_number_of_the_working_follows_from_numbers_before_it(system):
    """A sum from the sum before it and what is added, and the next state from the last sum and the last change."""
    for x, u, working in workings(system):
        now, then = (split(np.round(states * 10**STATE_DECIMALS).astype(int)) for states in (x[:-1], x[1:]))
        for component, numbers in zip(step_sums(system), components(working), strict=True):
            i, terms = component.index, component.terms(Steps.of(x[:-1], u[:-1], x[1:]))
            by_letter = {letter: np.array([v for found, v in numbers if found == letter]) for letter in (PART, SUM)}
            parts, sums = by_letter[PART], by_letter[SUM]
            assert np.abs(parts).max() <= FINE_STEPS / 2  # one token
            running = np.concatenate([terms.own[None], sums[:-1]]) + parts
            running[-1] += split(terms.products)[1][:, ~component.written].sum(axis=1)
            np.testing.assert_allclose(sums, running, atol=2.5)
            assert np.all((sums[-1] - then[1][:, i]) % FINE_STEPS == 0)
            assert np.abs(sums).max() < 3 * FINE_STEPS  # a sum is one token
            assert [letter for letter, _ in numbers[-3:]] == [SUM, CHANGE, FROM_TENTH]
            assert np.array_equal(now[0][:, i] + numbers[-2][1], then[0][:, i])
            tenth = TENTH * np.round(now[0][:, i] / TENTH + 1e-9)
            assert np.array_equal(tenth + numbers[-1][1], then[0][:, i])


def test_what_is_added_depends_on_one_number(system):
    """Equal coarse parts, controls and arguments always add the same, to the fine and to the coarse part: a table."""
    seen = {}
    for x, u, working in workings(system, "optimal", exploration=0.3, horizon=20):
        now, then = (split(np.round(states * 10**STATE_DECIMALS).astype(int))[0] for states in (x[:-1], x[1:]))
        parts = np.concatenate([now, np.round(u[:-1] * 100).astype(int), then], axis=1)
        for component, numbers in zip(step_sums(system), components(working), strict=True):
            letters = [letter for letter, _ in numbers]
            added = [k for k, letter in enumerate(letters) if letter == PART][component.coupled.sum() :]
            products = np.flatnonzero(component.written)
            for j, k in zip(products, added, strict=False):
                exact = FINE_STEPS * component.linear[j] * parts[:, j]
                off = np.abs(numbers[k][1] - exact) % FINE_STEPS
                assert np.minimum(off, FINE_STEPS - off).max() < 0.51
            factors = {k: parts[:, j] for j, k in zip(products, added, strict=False)}
            factors |= {k + 1: numbers[k][1] for k, letter in enumerate(letters) if letter == ARGUMENT}
            change = 0
            for k, letter in enumerate(letters[:-2]):
                if letter == CHANGE:
                    added_to = {"fine": numbers[k - 2][1], "coarse": numbers[k][1] - change}
                    change = numbers[k][1]
                elif letter == SUM and letters[k + 1] != CHANGE:
                    added_to = {"fine": numbers[k - 1][1]}
                else:
                    continue
                place = k - 2 if letter == CHANGE else k - 1
                for name, values in added_to.items() if place in factors else ():
                    for factor, value in zip(factors[place], values, strict=True):
                        assert seen.setdefault((component.index, place, name, factor), value) == value
    assert seen


def test_the_sums_of_each_plant():
    """Linear plants have neither functions nor remainders; a position is computed from the new velocity."""
    letters = {name: "".join(letter for letter, _ in workings(plant)[0][2]) for name, plant in SYSTEMS.items()}
    assert letters["double_integrator"] == letters["double_integrator_hard"] == "pspsdepsde"
    assert letters["upright_pendulum"] == "pspsdpspsdpsdpsdepsdpsde"
    assert letters["van_der_pol_hard"] == "psdpsdpsdeapsdeapsdeapsdpsdepsdpsde"
    assert [s.index for s in step_sums(get_system("van_der_pol"))] == [1, 0]
    assert REMAINDER in letters["attitude"]
    # x1^2 x2 is a sum of functions of x1 + x2, x1 - x2 and x2.
    arguments = step_sums(get_system("van_der_pol"))[0].arguments.tolist()
    assert arguments == [[0, 1], [1, 1], [1, -1]]


@pytest.mark.parametrize(("name", "limit"), [("van_der_pol", 50), ("van_der_pol_hard", 40), ("upright_pendulum", 5)])
def test_functions_of_one_number_leave_a_small_remainder(name, limit):
    """In fine steps, on whole optimal plans; without the functions it is up to 2,400, 1,800 and 200."""
    system = get_system(name)
    rest, whole = [], []
    for x, u, _ in workings(system, "optimal"):
        terms = step_sums(system)[0].terms(Steps.of(x[:-1], u[:-1], x[1:]))
        rest.append(terms.remainder)
        whole.append(terms.remainder + terms.functions.sum(axis=1))
    assert np.quantile(np.abs(rest), 0.99) <= limit
    assert np.abs(whole).max() > 3 * np.abs(rest).max()


def test_the_working_of_a_coupled_step():
    """upright_pendulum: x2+ = 0.24575 x1 + 1.00614 x2 + 0.08350 u + f(x1), x1+ = x1 + 0.025 (x2 + x2+)."""
    system = get_system("upright_pendulum")
    x = np.array([[0.3541, 0.1412], [0.0, 0.0]])
    x[1] = system.step(x[0], np.array([-2.23])).round(STATE_DECIMALS)
    text = format_trajectory(x, [[-2.23], [0.0]], work(system, x, np.array([[-2.23], [0.0]])))
    # 0.0041 of x1 is 0.0010; 0.35 is 0.0860 = 0.09 - 0.0040; 0.14 of x2 is 0.14 + 0.0009; -2.23 of u is -0.1862 =
    # -0.19 + 0.0038.
    assert " p 0.0010 s 0.22 p -0.0040 s -0.18 d 0.09 p 0.0009 s -0.09 p 0.0038 s 0.29 d -0.10 p -0.0018" in text
    assert text.endswith(" x1 -0.0013+0.36, x2 0.0010+0.04, 0.00")


# -- demonstrations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("perturbation", [0.0, 0.15])
@pytest.mark.parametrize("plant", [*SYSTEMS.values(), LONG], ids=[*SYSTEMS, "long"])
def test_every_number_follows_from_its_neighbours(plant, perturbation):
    made = demonstrate(
        plant, sample_states(plant, 12, "train"), DemonstrationConfig(reasoning="states", perturbation=perturbation), 1
    )
    for row in demonstration_rows(made, "states"):
        x, u, taught = written(row, plant)
        K = parse_gains(row["completion"], plant.n, plant.m)
        assert np.array_equal(x[0], row["x0"])
        np.testing.assert_allclose(taught, plant.saturate(-x @ K.T), atol=0.005 + 1e-9)
        np.testing.assert_allclose(x[1:], plant.step(x[:-1], u[:-1]), atol=ENOUGH_FOR_A_STEP)
        for text in (row["completion"], row["taught"]):  # the answer is the plan that the states belong to
            assert np.array_equal(parse_completion(text, plant.horizon, plant.m).controls, u)
        assert (row["taught"] == row["completion"]) == (perturbation == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_exploration_leads_elsewhere_and_the_teacher_goes_on(system, kind):
    made = demonstrate(
        system, sample_states(system, 20, "train"), DemonstrationConfig(kind, "states", exploration=0.1), 1
    )
    size = np.abs(made.written - made.taught).max(axis=2)
    assert 0.03 < (size > 0.1 * system.u_scale.min()).mean() < 0.3
    for row in demonstration_rows(made, "states"):
        x, u, taught = written(row, system)
        np.testing.assert_allclose(x[1:], system.step(x[:-1], u[:-1]), atol=ENOUGH_FOR_A_STEP)
        assert np.all((taught >= system.u_bounds[:, 0]) & (taught <= system.u_bounds[:, 1]))
    assert np.all(np.abs(made.states) < np.abs(system.x_bounds).max(axis=1) * 1.05)  # every state can be controlled


def test_after_exploration_the_optimal_teacher_is_optimal_again(system):
    """From where exploration led, its controls cost about as little as the optimum from there."""
    x0 = sample_states(system, 6, "train")
    teacher = OptimalTeacher(system, x0)
    x0 = x0[teacher.feasible]
    quiet = np.zeros((system.horizon, len(x0), system.m))
    explored = np.full(quiet.shape, np.nan)
    explored[0] = 0.3 * system.u_bounds[:, 1]
    made = rollout(system, x0, teacher, quiet, explored, STATE_DECIMALS)
    moved = np.flatnonzero((made.written[:, 0] == explored[0]).all(axis=1))
    assert len(moved)
    rest = made.x[moved, 1]
    optimum = solve_all(system, rest, cache=False)
    np.testing.assert_allclose(made.taught[moved, 1], optimum.controls[:, 0], atol=0.06 * system.u_scale.max())


def test_exploration_lasts_up_to_three_steps():
    explored = draw_exploration(get_system("double_integrator"), 2000, 0.02, 0)
    steps = np.isfinite(explored[..., 0])
    assert 0.03 < steps.mean() < 0.045  # two steps each time, on average
    assert np.abs(explored[steps]).max() <= 3.0


def test_rounding_the_states_costs_next_to_nothing(system):
    made = demonstrate(system, sample_states(system, 100, "train"), DemonstrationConfig(reasoning="states"), 1)
    unrounded = simulate_feedback(system, made.trajectories.x[:, 0], made.K, decimals=2)
    costs = [measure(trajectories).cost.mean() for trajectories in (made.trajectories, unrounded)]
    assert costs[0] == pytest.approx(costs[1], rel=5e-3)


def test_rollouts_saturate_controls():
    system = get_system("double_integrator")
    x0 = np.array([[0.4, 0.0]])
    made = rollout(system, x0, GainTeacher(system, x0, None), np.full((3, 1, 1), 9.0))
    assert np.all(made.written == 3.0)
    assert np.all(made.taught < 3.0)


def test_errors_of_written_states_are_measured(system):
    """Demonstrations write every state exactly; a state that is written wrong is one wrong step, and so is the next."""
    made = demonstrate(system, sample_states(system, 10, "train"), DemonstrationConfig(reasoning="states"))
    texts = [row["completion"] for row in demonstration_rows(made, "states")]
    found = step_errors(system, [*texts, "no trajectory"])
    assert found["count"] == len(texts)
    assert found["exact"] == [1.0] * system.n
    x = made.states.copy()
    x[:, 3, 0] += 0.02
    wrong = [
        f"<REASONING>{format_trajectory(states, u)}</REASONING>" for states, u in zip(x, made.written, strict=True)
    ]
    found = step_errors(system, wrong)
    steps = system.horizon - 1
    assert found["exact"][0] <= 1 - 1 / steps
    assert min(found["exact"]) == pytest.approx(1 - 2 / steps)
    assert found["percentiles"]["50"][0] < 1e-4
    assert step_errors(system, ["no trajectory"]) is None


def test_demonstrations_from_several_processes_are_those_from_one():
    asked = (["attitude", "double_integrator"], 10, DemonstrationConfig("optimal", "states", variations=0.2))
    rows, card = make_demonstrations(*asked)
    counted = []
    again, card_again = make_demonstrations(*asked, progress=counted.append, processes=2)
    assert again.to_list() == rows.to_list()
    assert card_again == card
    assert sum(counted) == 10


def test_a_plant_that_other_processes_cannot_have_is_demonstrated_in_this_one(monkeypatch):
    known = get_system("double_integrator")
    local = replace(
        known, name="local", vector_field=lambda x, u, xp=None, **params: known.vector_field(x, u, **params)
    )
    monkeypatch.setitem(SYSTEMS, "local", local)
    rows, _ = make_demonstrations(["local"], 4, DemonstrationConfig("expert"), processes=2)
    assert len(rows) == 4


# -- tokens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reasoning", WITH_STATES)
def test_tokens_of_a_trajectory(tokenizer, system, reasoning):
    """One token for each number, two for a component of a state; the taught text has as many as the written one."""
    rows, _ = make_demonstrations([system.name], 8, DemonstrationConfig(perturbation=0.15, reasoning=reasoning))
    gains = 2 * system.n * system.m
    numbers = len(work(system, np.zeros((1, system.n)), np.zeros((1, system.m))))
    working = numbers if reasoning == "working" else 0
    step = 2 * system.n + system.m + working
    for row in rows:
        ids = tokenizer(row["completion"]).input_ids
        assert len(ids) == gains + 1 + system.horizon * (step + system.m) - working + 2
        assert tokenizer.decode(ids) == row["completion"]
    assert len(tokenize(rows, tokenizer)) == len(rows)


@given(st.integers(-49_949, 49_949), st.integers(-500, 500))
def test_a_state_is_two_tokens_whatever_its_sign(tokenizer, state, control):
    x, controls = np.array([[state / 10**STATE_DECIMALS, 0.0]]), np.array([[control / 100]])
    text = format_trajectory(x, controls)
    ids = tokenizer(format_completion([[0.0]], text)).input_ids
    fine, coarse, *_, u = (tokenizer.decode([i]) for i in ids[1:6])
    assert f"{TRAJECTORY}{fine}{coarse}0.0000+0.00, {u}" == text
    assert fine.endswith("+")
    assert float(fine[:-1]) + float(coarse[:-2]) == pytest.approx(state / 10**STATE_DECIMALS, abs=1e-9)
    assert -0.005 <= float(fine[:-1]) < 0.005


def test_soft_targets_stay_within_their_form(tokenizer):
    """Fine parts have neighbours among themselves, and so has each form of a control value."""
    forms = [
        {re.sub(r"-?[\d.]+", "#", tokenizer.decode([i])) for i in family}
        for family in number_families(tokenizer).values()
    ]
    labelled = [" a #", " d #", " e #", " p #", " r #", " s #", " x# #+"]
    assert sorted(*zip(*forms, strict=True)) == [*labelled, "#", "#+", "#, ", "#; ", "x# #+", "x# #+"]
    targets = NumberTargets(tokenizer, width=0.06)
    label = tokenizer("0.0005+0.40, 0.00").input_ids[0]
    reached = {tokenizer.decode([i]) for i in targets._neighbours[label].tolist()}
    assert {"0.0008+", "0.0002+"} < reached
    assert all(text.endswith("+") for text in reached)


def test_bare_numbers_have_a_width_of_their_own(tokenizer):
    targets = NumberTargets(tokenizer, width=0.005, bare=0.06)
    _, shares = targets.of(torch.tensor(tokenizer("1.00 p 0.0005").input_ids), 0.0)
    widest = shares.amax(dim=1)
    assert 0.75 < widest[1] < 0.8  # half a step of the grid
    assert widest[0] == pytest.approx(0.01 / (0.06 * np.sqrt(2 * np.pi)), rel=0.01)
    assert torch.allclose(shares.sum(dim=1), torch.ones(2))
    near, shares = targets.of(torch.tensor([5]), 1.0)
    assert near.tolist() == [[5]]
    assert shares.tolist() == [[1.0]]


@pytest.mark.parametrize("name", ["double_integrator", "attitude", "van_der_pol"])
def test_wrong_steps_are_wrong_in_the_same_places_of_the_working(tokenizer, name):
    rows, _ = make_demonstrations([name], 4, DemonstrationConfig("optimal", "working"))
    texts = [tokenizer(row["prompt"] + row["completion"]).input_ids for row in rows]
    ids = torch.tensor([text[: min(map(len, texts))] for text in texts])
    torch.manual_seed(0)
    read, labels = WrongSteps(tokenizer, 0.15, IGNORED)(ids, ids)
    taught = labels != IGNORED
    assert 0.01 < (read != ids).float().mean() < 0.1
    assert 0.4 < taught.float().mean() < 0.9
    assert torch.equal(labels[taught], ids[taught])
    first, second, *_ = (i for i, token in enumerate(texts[0]) if tokenizer.decode([token]).startswith(" x1 "))
    again = 0
    for text, was, is_taught in zip(read, ids, taught, strict=True):
        places = (text != was).nonzero()[:, 0].tolist()
        for i in places:
            (label, number), (same, right) = (tokenizer.decode([row[i]]).split() for row in (text, was))
            assert label == same
            assert label in LABELS
            assert round(abs(float(number) - float(right)), STATE_DECIMALS) in {0.01, 0.0001}
            assert not is_taught[i + 1]  # nor the rest of the step
        again += sum(i + second - first in places for i in places) / len(places) / len(ids)
        ends = (is_taught[1:] & ~is_taught[:-1]).nonzero()[:, 0]  # the last tokens that are not taught: controls
        assert all(re.fullmatch(r"-?\d+\.\d\d", tokenizer.decode([was[i]])) for i in ends)
    assert again > 0.5


def test_without_wrong_steps_nothing_is_drawn(tokenizer):
    state = torch.get_rng_state()
    ids = torch.zeros(1, 5, dtype=torch.long)
    assert WrongSteps(tokenizer, 0.0, IGNORED)(ids, ids) == (ids, ids)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_trajectory_of_any_plant_fits_into_the_model(tokenizer):
    room = completion_room(tokenizer, ["van_der_pol_hard"], None)
    system = get_system("van_der_pol_hard")
    asked = len(tokenizer(format_prompt(system, np.zeros(system.n))).input_ids)
    working = len(work(system, np.zeros((1, system.n)), np.zeros((1, system.m))))
    answer = system.horizon * (2 * system.n + 2 * system.m + working) - working + 3
    assert answer <= room < tokenizer.model_max_length - asked


@pytest.mark.parametrize("adapted", [False, True])
def test_an_older_model_gets_tokens_for_states_and_keeps_what_it_knows(adapted):
    old, old_tokenizer = load_model("tiny-base")
    if adapted:
        torch.manual_seed(0)
        old = get_peft_model(old, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
        old.eval()
    text = format_prompt(get_system("double_integrator"), [0.4, -0.2])
    with torch.no_grad():
        before = old(**old_tokenizer(text, return_tensors="pt")).logits[0, -1]
    new, new_tokenizer = renewed(old, old_tokenizer)
    with torch.no_grad():
        after = new(**new_tokenizer(text, return_tensors="pt")).logits[0, -1]
    assert longest_reasoning(old_tokenizer) == "waypoints"
    assert longest_reasoning(new_tokenizer) == "working"
    shared = [token for token in old_tokenizer.get_vocab() if token in new_tokenizer.get_vocab()]
    # Merging an adapter adds the same products in another order.
    tolerance = {"atol": 1e-4, "rtol": 1e-5} if adapted else {}
    torch.testing.assert_close(
        after[new_tokenizer.convert_tokens_to_ids(shared)],
        before[old_tokenizer.convert_tokens_to_ids(shared)],
        **tolerance,
    )


# -- the constrained optimum ---------------------------------------------------------------------------------


def test_optimal_demonstrations_keep_the_bounds_and_cost_what_the_optimum_costs(system):
    x0 = sample_states(system, 4, "train")
    made = demonstrate(system, x0, DemonstrationConfig("optimal", "states"))
    optimum = solve_all(system, made.trajectories.x[:, 0], cache=False)
    metrics = measure(made.trajectories)
    assert metrics.violations.sum() == 0
    np.testing.assert_allclose(metrics.cost, optimum.cost, rtol=0.05)
    for row in demonstration_rows(made, "states"):
        assert row["completion"].startswith(f"<REASONING>{TRAJECTORY}")


def test_optimal_demonstrations_keep_a_bound_that_lqr_violates():
    system = get_system("double_integrator_hard")
    x0 = sample_states(system, 60, "train")
    made = demonstrate(system, x0, DemonstrationConfig("optimal"))
    assert measure(simulate_feedback(system, x0, lqr(system)[0], 2)).violations.any()
    assert made.dropped == 0
    assert measure(made.trajectories).violations.sum() == 0
    assert made.K is None


@pytest.mark.parametrize("style", ["none", "brief", "waypoints"])
def test_optimal_demonstrations_state_no_gains(style):
    rows, card = make_demonstrations(["double_integrator"], 6, DemonstrationConfig("optimal", style, perturbation=0.1))
    assert card["count"] == 6
    for row in rows:
        assert parse_gains(row["completion"], 2, 1) is None
        assert parse_completion(row["taught"], 50).verdict == "ok"
    assert any(row["taught"] != row["completion"] for row in rows)
