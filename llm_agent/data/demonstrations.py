"""Demonstrations for SFT, from seeded initial states of disjoint splits.

There are two kinds of demonstrations:

* ``expert``: saturated LQR. Where LQR violates a bound, the cheapest feasible LQR among several control weights.
* ``varied``: state feedback u = -K x. The gains K are drawn at random around LQR's for each demonstration and stated
  in the reasoning. SFT then learns the average of these gains. Which gains to state becomes a small decision that
  carries most of the reward's variance, and that GRPO can learn.

Demonstrations may be perturbed. A model trained only on clean plans treats its own errors as part of the plan and adds
to them. Perturbed demonstrations therefore add errors to the written controls. The target at each control either

* ``ignores`` the errors: it is the control of the unperturbed plan, so that the model learns to compute a control from
  the problem and the gains, not to continue the controls before it; or
* ``answers`` the errors: it is the feedback control at the state that the errors led to (DART: Laskey et al., "Noise
  injection for robust imitation learning", arXiv 1703.09327).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import System, format_completion, get_system, measure, sample_states, score, simulate
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import SPLITS, Split
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.prompts import derived_seed, make_prompts, prompt_rows, split_evenly
from llm_agent.data.reasoning import GAIN_DECIMALS, Reasoning, format_reasoning

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "ERRORS",
    "GAIN_RANGE",
    "HORIZON_RANGE",
    "KINDS",
    "Demonstrations",
    "Errors",
    "Kind",
    "demonstrate",
    "demonstration_rows",
    "derived_seed",
    "make_demonstrations",
    "make_prompts",
    "prompt_rows",
]

Errors = Literal["ignored", "answered"]
ERRORS: tuple[Errors, ...] = ("ignored", "answered")
Kind = Literal["expert", "varied"]
KINDS: tuple[Kind, ...] = ("expert", "varied")
# Gains of `varied` demonstrations are drawn uniformly between these multiples of LQR's.
GAIN_RANGE = (0.2, 1.6)
# Variations of a plant have horizons between these multiples of the plant's own.
HORIZON_RANGE = (0.4, 0.8)
_VARIATIONS = 64  # variations drawn for each plant
_TRIES = 8  # draws of `varied` gains for each initial state
_CONTROL_WEIGHTS = tuple(10.0**p for p in (-2, -1, 1, 2, 3))  # factors on R


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Trajectories of state feedback, and the gains that each one follows.

    Attributes:
        trajectories: batch of shape (count,): the unperturbed ones where targets ignore errors, else those of the
            written controls.
        written: controls as written, errors included, (count, N, m).
        taught: the targets in their place, (count, N, m); equal to ``written`` without perturbation.
        K: the gains that each demonstration states, (count, m, n).
        dropped: number of initial states for which no gains were feasible.
    """

    trajectories: Trajectory
    written: Array
    taught: Array
    K: Array
    dropped: int


def demonstrate(
    system: System, x0: Array, kind: Kind, seed: int = 0, perturbation: float = 0.0, errors: Errors = "ignored"
) -> Demonstrations:
    """Simulates one demonstration from each initial state (count, n); infeasible ones are dropped.

    Args:
        perturbation: largest standard deviation of the errors added to the controls, as a multiple of
            ``system.u_scale``; each trajectory draws its own, uniformly from zero to this.
        errors: whether the targets ignore or answer the errors.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "expert":
        K = np.broadcast_to(lqr(system)[0], (len(x0), system.m, system.n)).copy()
    elif kind == "varied":
        K = _varied_gains(system, x0, seed)
    else:
        raise ValueError(f"there is no kind of demonstration {kind!r}: choose from {', '.join(KINDS)}")
    infeasible = ~_is_feasible(system, x0, K)
    K[infeasible] = _fallback_gains(system, x0[infeasible])
    feasible = _is_feasible(system, x0, K)
    noise = _draw_errors(system, int(feasible.sum()), perturbation, derived_seed(seed, 1))
    trajectories, written, taught = _simulate_perturbed(system, x0[feasible], K[feasible], noise, errors)
    return Demonstrations(trajectories, written, taught, K[feasible], int((~feasible).sum()))


def _draw_errors(system: System, count: int, perturbation: float, seed: int) -> Array:
    """Errors of ``count`` plans, (N, count, m): white noise plus a constant offset, because a model has both."""
    rng = np.random.default_rng(seed)
    size = perturbation * system.u_scale * rng.uniform(size=(count, 1))
    offset = rng.standard_normal((count, system.m))
    return size * (offset + rng.standard_normal((system.horizon, count, system.m)))


def _simulate_perturbed(
    system: System, x0: Array, K: Array, noise: Array, errors: Errors
) -> tuple[Trajectory, Array, Array]:
    """The trajectories, the controls as written, and the targets, for noise (N, count, m)."""
    if errors == "ignored":
        trajectories = simulate_feedback(system, x0, K, DECIMALS)
        written = np.round(system.saturate(trajectories.u + np.moveaxis(noise, 0, 1)), DECIMALS)
        return trajectories, written, trajectories.u
    x, targets, plan = x0, [], []
    for error in noise:
        targets.append(np.round(system.saturate(-np.einsum("bij,bj->bi", K, x)), DECIMALS))
        plan.append(np.round(system.saturate(targets[-1] + error), DECIMALS))
        x = system.step(x, plan[-1])
    written = np.stack(plan, axis=1)
    return simulate(system, x0, written), written, np.stack(targets, axis=1)


def _varied_gains(system: System, x0: Array, seed: int) -> Array:
    """One gain matrix for each initial state, redrawn up to `_TRIES` times while its trajectory violates a bound."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(*GAIN_RANGE, size=(len(x0), _TRIES, system.m, system.n))
    drawn = np.round(lqr(system)[0] * factors, GAIN_DECIMALS)
    K = drawn[:, 0].copy()
    for i in range(1, _TRIES):
        infeasible = ~_is_feasible(system, x0, K)
        K[infeasible] = drawn[infeasible, i]
    return K


def _fallback_gains(system: System, x0: Array) -> Array:
    """For each initial state the LQR gains of the cheapest feasible trajectory, among several control weights."""
    designs = np.stack([lqr(system.replace(R=system.R * weight))[0] for weight in _CONTROL_WEIGHTS])
    metrics = measure(simulate_feedback(system, x0[:, None], designs[None], DECIMALS))
    cost = np.where(metrics.violations == 0, metrics.cost, np.inf)
    return designs[np.argmin(cost, axis=1)]


def _is_feasible(system: System, x0: Array, K: Array) -> np.ndarray:
    return measure(simulate_feedback(system, x0, K, DECIMALS)).violations == 0


# -- rows of text --------------------------------------------------------------------------------------------


def demonstration_rows(demonstrations: Demonstrations, reasoning: Reasoning = "brief") -> list[dict[str, Any]]:
    """One row for each demonstration: ``prompt, completion, taught, system, x0``.

    ``taught`` is the completion with the targets in place of the written controls.
    """
    trajectories, K = demonstrations.trajectories, demonstrations.K
    # Waypoints are the states predicted when the plan is written, so they contain no later errors.
    predicted = (
        simulate_feedback(trajectories.system, trajectories.x[:, 0], K, DECIMALS).x
        if reasoning == "waypoints"
        else trajectories.x
    )
    reasonings = [format_reasoning(reasoning, gains, x) for gains, x in zip(K, predicted, strict=True)]
    written = [format_completion(u, text) for u, text in zip(demonstrations.written, reasonings, strict=True)]
    taught = written
    if not np.array_equal(demonstrations.taught, demonstrations.written):
        taught = [format_completion(u, text) for u, text in zip(demonstrations.taught, reasonings, strict=True)]
    prompts = prompt_rows(trajectories.system, trajectories.x[:, 0])
    return [
        {**row, "completion": completion, "taught": target}
        for row, completion, target in zip(prompts, written, taught, strict=True)
    ]


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
    """``count`` demonstrations, divided evenly among the plants and shuffled, and the card that describes them.

    Args:
        systems: names of the plants.
        count: initial states to start from; infeasible demonstrations are dropped, so there may be fewer rows.
        kind: "expert" or "varied", as described in this module.
        split: the split of initial states to draw from.
        seed: the seed of initial states, gains, errors, variations and order.
        perturbation: see `demonstrate`.
        variations: share of the demonstrations with other plant parameters and horizons.
        reasoning: see `llm_agent.data.reasoning.format_reasoning`.
        errors: see `demonstrate`.

    Returns:
        The columns of `demonstration_rows`, and the card as JSON values.
    """
    from datasets import Dataset

    rows, plants = [], {}
    for name, plant_count in zip(systems, split_evenly(count, len(systems)), strict=True):
        batches = []
        for system, batch_count, batch_seed in _variants(get_system(name), plant_count, variations, seed):
            x0 = sample_states(system, batch_count, split, batch_seed)
            demonstration_seed = derived_seed(SPLITS.index(split), batch_seed)
            batches.append(demonstrate(system, x0, kind, demonstration_seed, perturbation, errors))
        rows += [row for batch in batches for row in demonstration_rows(batch, reasoning)]
        plants[name] = {**_describe(batches[0]), "variations": sum(len(batch.K) for batch in batches[1:])}
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


def _variants(system: System, count: int, variations: float, seed: int) -> Iterator[tuple[System, int, int]]:
    """The plant itself and variations of it, each with its number of demonstrations and a seed."""
    varied = round(count * variations)
    yield system, count - varied, seed
    rng = np.random.default_rng(derived_seed(seed, 2))
    for i, variant_count in enumerate(split_evenly(varied, _VARIATIONS)):
        params = {name: round(rng.uniform(*limits), 1) for name, limits in system.param_ranges.items()}
        horizon = round(system.horizon * rng.uniform(*HORIZON_RANGE))
        if variant_count:
            yield system.replace(horizon=horizon, **params), variant_count, derived_seed(seed, 3, i)


def _describe(demonstrations: Demonstrations) -> dict[str, Any]:
    """One plant's part of the card."""
    metrics = measure(demonstrations.trajectories)
    return {
        "settings": demonstrations.trajectories.system.to_dict(),
        "count": len(demonstrations.K),
        "dropped": demonstrations.dropped,
        f"mean_reward_{DEFAULT_VERSION}": float(score(metrics, DEFAULT_VERSION).total.mean()),
        "mean_cost": float(metrics.cost.mean()),
        "success": float(metrics.success.mean()),
    }
