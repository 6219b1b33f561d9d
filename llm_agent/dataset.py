"""Demonstrations for SFT and prompts for GRPO, from seeded initial states of disjoint splits.

Three kinds of demonstrations:

* ``expert``: saturated LQR; where it breaks a bound, the cheapest LQR of a range of control weights that keeps to
  all of them.
* ``varied``: state feedback u = -K x whose gains are drawn at random around LQR's for each demonstration and
  stated in the reasoning. SFT on these is the average of its teachers; which law to state is then a small decision
  that carries most of the reward's variance, and that GRPO can learn.
* ``optimal``: the cheapest plan that keeps to the bounds (`llm_agent.optimal_plans`); no gains are stated.

Demonstrations may be perturbed, for a model that has only seen clean plans takes its own errors for part of the plan
and adds to them. Errors are added to the controls that are written, and what is taught at each control either

* ``ignores`` them: it is the law's plan as if there were none, so that a control is computed from the problem and the
  law rather than continued from the controls before it; or
* ``answers`` them: it is the law's control at the state that the errors led to (DART: Laskey et al., "Noise injection
  for robust imitation learning", arXiv 1703.09327).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from baselines.lqr import fly_feedback, lqr
from control_envs import (
    System,
    format_completion,
    format_prompt,
    get_system,
    measure,
    sample_states,
    score,
    simulate,
)
from control_envs.codec import DECIMALS
from control_envs.splits import SPLITS, Split
from control_envs.systems.base import Array
from control_envs.trajectory import Trajectory
from llm_agent.laws import GAIN_DECIMALS, Reasoning, format_reasoning
from llm_agent.optimal_plans import optimal_plans
from llm_agent.state_reasoning import WrittenRollout, rollout

if TYPE_CHECKING:
    from datasets import Dataset

Errors = Literal["ignored", "answered"]
ERRORS: tuple[Errors, ...] = ("ignored", "answered")
Kind = Literal["expert", "varied", "optimal"]
KINDS: tuple[Kind, ...] = ("expert", "varied", "optimal")
# Gains of `varied` demonstrations are drawn uniformly between these multiples of LQR's.
GAIN_RANGE = (0.2, 1.6)
# Settings of `variations` have horizons between these multiples of the plant's own; so many are drawn for each plant.
HORIZON_RANGE = (0.4, 0.8)
_VARIATIONS = 64
_LEVELS = 9
_TRIES = 8
_CONTROL_WEIGHTS = tuple(10.0**p for p in (-2, -1, 1, 2, 3))


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Flights that keep to every bound, and the law that each one follows.

    Attributes:
        flights: batch of shape (count,) that the controls taught belong to.
        written: controls as written, errors included, (count, N, m).
        taught: what to learn to write in their place, (count, N, m); the same where nothing is perturbed.
        K: the law each demonstration states, shape (count, m, n); None for optimal plans, which follow none.
        dropped: initial states for which no law of the range kept to the bounds.
        states: for reasoning that carries the state, those that the controls are computed from, (count, N, n).
    """

    flights: Trajectory
    written: Array
    taught: Array
    K: Array | None
    dropped: int
    states: Array | None = None

    @property
    def gains(self) -> list[Array | None]:
        """The gains that each demonstration states, (m, n), or None."""
        return [None] * len(self.written) if self.K is None else list(self.K)


def demonstrate(
    system: System,
    x0: Array,
    kind: Kind,
    seed: int = 0,
    perturbation: float = 0.0,
    errors: Errors = "ignored",
    carries_state: bool = False,
) -> Demonstrations:
    """Flies one demonstration from each initial state (count, n).

    Args:
        perturbation: greatest standard deviation of the errors added to the controls, as a share of a third of their
            bound; each flight draws its own below it.
        errors: whether what is taught ignores them or answers them.
        carries_state: each control follows from the state as reasoning writes it (`llm_agent.state_reasoning`), so that
            errors are always answered: they are in the state.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "optimal":
        return _demonstrate_optimum(system, x0, seed, perturbation, errors == "answered" or carries_state)
    if kind == "expert":
        K = np.broadcast_to(lqr(system)[0], (len(x0), system.m, system.n)).copy()
    elif kind == "varied":
        K = _varied_gains(system, x0, seed)
    else:
        raise ValueError(f"there is no kind of demonstration {kind!r}: choose from {', '.join(KINDS)}")
    broken = ~_keeps_bounds(system, x0, K)
    K[broken] = _safest_gains(system, x0[broken])
    if carries_state:
        K = np.round(K, GAIN_DECIMALS)  # as they are stated: controls follow from what is written alone
    kept = _keeps_bounds(system, x0, K)
    noise = _errors(system, int(kept.sum()), perturbation, derived_seed(seed, 1))
    if carries_state:
        gains = K[kept]
        made = rollout(system, x0[kept], lambda k, x: -np.einsum("bij,bj->bi", gains, x), noise)
        return _written(system, made, gains, int((~kept).sum()))
    flights, written, taught = _fly_perturbed(system, x0[kept], K[kept], noise, errors)
    return Demonstrations(flights, written, taught, K[kept], int((~kept).sum()))


def _demonstrate_optimum(
    system: System, x0: Array, seed: int, perturbation: float, answers_errors: bool
) -> Demonstrations:
    plans, kept = optimal_plans(system, x0)
    noise = _errors(system, int(kept.sum()), perturbation, derived_seed(seed, 1))
    made = rollout(system, x0[kept], plans, noise if answers_errors else np.zeros_like(noise))
    if not answers_errors:
        written = np.round(system.saturate(made.u + np.moveaxis(noise, 0, 1)), DECIMALS)
        return Demonstrations(simulate(system, x0[kept], made.u), written, made.u, None, int((~kept).sum()))
    return _written(system, made, None, int((~kept).sum()))


def _written(system: System, made: WrittenRollout, K: Array | None, dropped: int) -> Demonstrations:
    flights = simulate(system, made.x[:, 0], made.u)
    return Demonstrations(flights, made.u, made.feedback, K, dropped, made.x)


def _errors(system: System, count: int, perturbation: float, seed: int) -> Array:
    """Errors of ``count`` plans, (N, count, m): white noise about an offset, as a model's are: chance and habit."""
    rng = np.random.default_rng(seed)
    size = perturbation * system.u_scale * rng.uniform(size=(count, 1))
    offset = rng.standard_normal((count, system.m))
    return size * (offset + rng.standard_normal((system.horizon, count, system.m)))


def _fly_perturbed(
    system: System, x0: Array, K: Array, noise: Array, errors: Errors
) -> tuple[Trajectory, Array, Array]:
    """The flights that the controls taught belong to, the controls as written, and as taught."""
    if errors == "ignored":
        flights = fly_feedback(system, x0, K, DECIMALS)
        written = np.round(system.saturate(flights.u + np.moveaxis(noise, 0, 1)), DECIMALS)
        return flights, written, flights.u
    x, answers, plan = x0, [], []
    for error in noise:
        answers.append(np.round(system.saturate(-np.einsum("bij,bj->bi", K, x)), DECIMALS))
        plan.append(np.round(system.saturate(answers[-1] + error), DECIMALS))
        x = system.step(x, plan[-1])
    written = np.stack(plan, axis=1)
    return simulate(system, x0, written), written, np.stack(answers, axis=1)


def _varied_gains(system: System, x0: Array, seed: int) -> Array:
    """One gain matrix for each state, redrawn (a few times) while its flight breaks a bound."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(*GAIN_RANGE, size=(len(x0), _TRIES, system.m, system.n))
    drawn = np.round(lqr(system)[0] * factors, GAIN_DECIMALS)
    K = drawn[:, 0].copy()
    for i in range(1, _TRIES):
        broken = ~_keeps_bounds(system, x0, K)
        K[broken] = drawn[broken, i]
    return K


def _safest_gains(system: System, x0: Array) -> Array:
    """For each state the cheapest flight that keeps to the bounds, among LQR designs of several control weights."""
    designs = np.stack([lqr(system.replace(R=system.R * weight))[0] for weight in _CONTROL_WEIGHTS])
    metrics = measure(fly_feedback(system, x0[:, None], designs[None], DECIMALS))
    cost = np.where(metrics.violations == 0, metrics.cost, np.inf)
    return designs[np.argmin(cost, axis=1)]


def _keeps_bounds(system: System, x0: Array, K: Array) -> np.ndarray:
    return measure(fly_feedback(system, x0, K, DECIMALS)).violations == 0


# -- rows of text --------------------------------------------------------------------------------------------


def demonstration_rows(demonstrations: Demonstrations, reasoning: Reasoning = "brief") -> list[dict[str, Any]]:
    """One row for each demonstration: prompt, completion, taught (what to learn to write in its place), system, x0."""
    if reasoning == "states":
        return _rows_that_carry_the_state(demonstrations)
    flights, K = demonstrations.flights, demonstrations.K
    foreseen = flights.x
    if reasoning == "waypoints" and K is not None:  # what the law foresees: it knows nothing of errors to come
        foreseen = fly_feedback(flights.system, flights.x[:, 0], K, DECIMALS).x
    plans = zip(demonstrations.gains, foreseen, demonstrations.written, strict=True)
    thoughts = [format_reasoning(reasoning, law, x, u) for law, x, u in plans]
    written = [format_completion(u, thought) for u, thought in zip(demonstrations.written, thoughts, strict=True)]
    taught = written
    if not np.array_equal(demonstrations.taught, demonstrations.written):
        taught = [format_completion(u, thought) for u, thought in zip(demonstrations.taught, thoughts, strict=True)]
    prompts = prompt_rows(flights.system, flights.x[:, 0])
    return [
        {**row, "completion": completion, "taught": target}
        for row, completion, target in zip(prompts, written, taught, strict=True)
    ]


def _rows_that_carry_the_state(made: Demonstrations) -> list[dict[str, Any]]:
    """Rows whose reasoning writes the trajectory. Its controls are taught; the answer repeats them as written."""
    states = made.states
    assert states is not None

    def completions(controls: Array) -> list[str]:
        parts = zip(made.gains, states, controls, made.written, strict=True)
        return [format_completion(u, format_reasoning("states", K, x, thought)) for K, x, thought, u in parts]

    rows = zip(
        prompt_rows(made.flights.system, made.flights.x[:, 0]),
        completions(made.written),
        completions(made.taught),
        strict=True,
    )
    return [{**row, "completion": completion, "taught": target} for row, completion, target in rows]


def prompt_rows(system: System, x0: Array) -> list[dict[str, Any]]:
    """One row for each initial state (count, n): prompt, system, x0. Rewards need no more than these."""
    return [{"prompt": format_prompt(system, x), "system": system.name, "x0": x.tolist()} for x in x0]


def make_demonstrations(
    systems: list[str],
    count: int,
    kind: Kind = "varied",
    split: Split = "train",
    seed: int = 0,
    perturbation: float = 0.0,
    variations: float = 0.0,
    reasoning: Reasoning = "brief",
    errors: Errors = "ignored",
) -> tuple[Dataset, dict[str, Any]]:
    """``count`` demonstrations shared evenly among the plants and shuffled, and the card that describes them.

    Args:
        perturbation: see `demonstrate`.
        errors: see `demonstrate`.
        variations: share of the demonstrations that are of other plant parameters and horizons.
        reasoning: see `llm_agent.laws.format_reasoning`.
    """
    from datasets import Dataset

    rows, plants = [], {}
    for name, share in zip(systems, _shares(count, len(systems)), strict=True):
        system = get_system(name)
        made = []
        for setting, part, s in _settings(system, share, variations, seed):
            x0, own = sample_states(setting, part, split, s), derived_seed(SPLITS.index(split), s)
            made.append(demonstrate(setting, x0, kind, own, perturbation, errors, reasoning == "states"))
        rows += [row for batch in made for row in demonstration_rows(batch, reasoning)]
        plants[name] = {**_describe(made[0]), "variations": sum(len(batch.written) for batch in made[1:])}
    card = {
        "kind": kind,
        "split": split,
        "seed": seed,
        "count": len(rows),
        "gain_range": GAIN_RANGE if kind == "varied" else None,
        "reasoning": reasoning,
        "perturbation": perturbation,
        "errors": errors,
        "plants": plants,
        "versions": {name: version(name) for name in ("control-grpo", "numpy", "gymnasium", "scipy")},
    }
    return Dataset.from_list(rows).shuffle(seed=seed), card


def _settings(system: System, count: int, variations: float, seed: int) -> Iterator[tuple[System, int, int]]:
    """The plant itself and variations of it: each with its share of the count, and a seed."""
    varied = round(count * variations)
    yield system, count - varied, seed
    rng = np.random.default_rng(derived_seed(seed, 2))
    for i, share in enumerate(_shares(varied, _VARIATIONS)):
        params = {name: round(rng.uniform(*limits), 1) for name, limits in system.param_ranges.items()}
        horizon = round(system.horizon * rng.uniform(*HORIZON_RANGE))
        if share:
            yield system.replace(horizon=horizon, **params), share, derived_seed(seed, 3, i)


def make_prompts(
    systems: list[str], count: int, split: Split = "train", seed: int = 0, curriculum: float = 0.0
) -> Dataset:
    """``count`` prompts shared evenly among the plants and shuffled.

    Args:
        curriculum: share of the prompts over which the box of initial states grows, in `_LEVELS` steps, from a tenth of
            its size about its centre to the whole; only prompts of one size are shuffled.
    """
    from datasets import Dataset

    rows = []
    levels = _shares(round(count * curriculum), _LEVELS)
    for level, size in enumerate([*levels, count - sum(levels)]):
        part = []
        for name, share in zip(systems, _shares(size, len(systems)), strict=True):
            system = _easier(get_system(name), (level + 1) / (_LEVELS + 1))
            part += prompt_rows(system, sample_states(system, share, split, derived_seed(seed, level)))
        rows += [part[i] for i in np.random.default_rng(derived_seed(seed, level)).permutation(len(part))]
    return Dataset.from_list(rows)


def _easier(system: System, size: float) -> System:
    """The plant with its initial states in a smaller box."""
    centre = system.x0_bounds.mean(axis=1, keepdims=True)
    return system if size == 1 else system.replace(x0_bounds=centre + size * (system.x0_bounds - centre))


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (i < count % parts) for i in range(parts)]


def derived_seed(*entropy: int) -> int:
    """A seed for another stream; nearby inputs give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _describe(made: Demonstrations) -> dict[str, Any]:
    metrics = measure(made.flights)
    return {
        "settings": made.flights.system.to_dict(),
        "count": len(made.written),
        "dropped": made.dropped,
        "mean_reward_1.3": float(score(metrics).total.mean()),
        "mean_cost": float(metrics.cost.mean()),
        "success": float(metrics.success.mean()),
    }
