"""Demonstrations for SFT and prompts for GRPO, from seeded initial states of disjoint splits.

Two kinds of demonstrations:

* ``expert``: saturated LQR; where it breaks a bound, the cheapest LQR of a range of control weights that keeps to
  all of them.
* ``varied``: state feedback u = -K x whose gains are drawn at random around LQR's for each demonstration and
  stated in the reasoning. SFT on these is the average of its teachers; which law to state is then a small decision
  that carries most of the reward's variance, and that GRPO can learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from baselines.lqr import fly_feedback, lqr
from control_envs import System, format_completion, format_prompt, get_system, measure, sample_states, score
from control_envs.codec import DECIMALS
from control_envs.splits import SPLITS, Split
from control_envs.systems.base import Array
from control_envs.trajectory import Trajectory
from llm_agent.laws import GAIN_DECIMALS, format_law

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["expert", "varied"]
KINDS: tuple[Kind, ...] = ("expert", "varied")
# Gains of `varied` demonstrations are drawn uniformly between these multiples of LQR's.
GAIN_RANGE = (0.2, 1.6)
_TRIES = 8
_CONTROL_WEIGHTS = tuple(10.0**p for p in (-2, -1, 1, 2, 3))


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Flights that keep to every bound, and the law that each one follows.

    Attributes:
        flights: batch of shape (count,).
        K: the law each demonstration states, shape (count, m, n).
        dropped: initial states for which no law of the range kept to the bounds.
    """

    flights: Trajectory
    K: Array
    dropped: int


def demonstrate(system: System, x0: Array, kind: Kind, seed: int = 0) -> Demonstrations:
    """Flies one demonstration from each initial state (count, n).

    Raises:
        ValueError: unknown kind.
    """
    if kind == "expert":
        K = np.broadcast_to(lqr(system)[0], (len(x0), system.m, system.n)).copy()
    elif kind == "varied":
        K = _varied_gains(system, x0, seed)
    else:
        raise ValueError(f"there is no kind of demonstration {kind!r}: choose from {', '.join(KINDS)}")
    broken = ~_keeps_bounds(system, x0, K)
    K[broken] = _safest_gains(system, x0[broken])
    kept = _keeps_bounds(system, x0, K)
    return Demonstrations(fly_feedback(system, x0[kept], K[kept], DECIMALS), K[kept], int((~kept).sum()))


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


def demonstration_rows(demonstrations: Demonstrations) -> list[dict[str, Any]]:
    """One row for each demonstration: prompt, completion, system, x0."""
    flights = demonstrations.flights
    return [
        {**row, "completion": format_completion(u, format_law(K))}
        for row, u, K in zip(
            prompt_rows(flights.system, flights.x[:, 0]), flights.u_written, demonstrations.K, strict=True
        )
    ]


def prompt_rows(system: System, x0: Array) -> list[dict[str, Any]]:
    """One row for each initial state (count, n): prompt, system, x0. Rewards need no more than these."""
    return [{"prompt": format_prompt(system, x), "system": system.name, "x0": x.tolist()} for x in x0]


def make_demonstrations(
    systems: list[str], count: int, kind: Kind = "varied", split: Split = "train", seed: int = 0
) -> tuple[Dataset, dict[str, Any]]:
    """``count`` demonstrations shared evenly among the plants and shuffled, and the card that describes them."""
    from datasets import Dataset

    rows, plants = [], {}
    for name, share in zip(systems, _shares(count, len(systems)), strict=True):
        system = get_system(name)
        x0 = sample_states(system, share, split, seed)
        made = demonstrate(system, x0, kind, derived_seed(SPLITS.index(split), seed))
        rows += demonstration_rows(made)
        plants[name] = _describe(made)
    card = {
        "kind": kind,
        "split": split,
        "seed": seed,
        "count": len(rows),
        "gain_range": GAIN_RANGE if kind == "varied" else None,
        "plants": plants,
        "versions": {name: version(name) for name in ("control-grpo", "numpy", "gymnasium", "scipy")},
    }
    return Dataset.from_list(rows).shuffle(seed=seed), card


def make_prompts(systems: list[str], count: int, split: Split = "train", seed: int = 0) -> Dataset:
    """``count`` prompts shared evenly among the plants and shuffled."""
    from datasets import Dataset

    rows = []
    for name, share in zip(systems, _shares(count, len(systems)), strict=True):
        system = get_system(name)
        rows += prompt_rows(system, sample_states(system, share, split, seed))
    return Dataset.from_list(rows).shuffle(seed=seed)


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (i < count % parts) for i in range(parts)]


def derived_seed(*entropy: int) -> int:
    """A seed for another stream; nearby inputs give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _describe(made: Demonstrations) -> dict[str, Any]:
    metrics = measure(made.flights)
    return {
        "settings": made.flights.system.to_dict(),
        "count": len(made.K),
        "dropped": made.dropped,
        "mean_reward_1.3": float(score(metrics).total.mean()),
        "mean_cost": float(metrics.cost.mean()),
        "success": float(metrics.success.mean()),
    }
