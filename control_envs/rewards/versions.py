"""Versioned rewards: each version is a set of named terms, defined in full.

A published version never changes; a change is a new version. `REWARDS` holds all versions, `score` applies one to a
batch of trajectories. Compare policies on `control_envs.rewards.metrics`, never on rewards of different versions.

Version history
    1.0  Cost, violations and a terminal bonus in steps. Unbounded below: a plan that violates the bounds can score
         -957, while a text without a plan scores -10. The format reward (3) is close to what good control earns.
    1.1  Heavier terminal and constraint terms that grow with the training progress, a smoothness bonus, and a
         format reward reduced to 1. Still unbounded below (-25,438 for saturated controls).
    1.2  A baseline of 50, dense progress and proximity terms, an exponential terminal bonus and a bounded cost.
         Violations are still unbounded: -288 for one trajectory dominates the advantages of a group of sixteen.
    1.3  Violations capped at -20, validity in proportion to the states inside the bounds, baseline 70, and a floor
         of 30: every plan that parses scores within [30, 163], above every text that does not. The terms cannot
         sum to less than 30, so the floor only states the guarantee. The reward is nearly flat among plans that
         violate 10 times or more and end far from the origin, and teaches little there.
    2.0  A single measure, the cost J: the cost of LQR from the same state (for the linearised plant without bounds)
         divided by the cost of the plan, in per cent, minus up to 10 for violations. No floor and no flat region:
         halving the cost doubles the score everywhere. Invalid text scores just below every plan, not far below.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from control_envs.dynamics.trajectory import Trajectory
from control_envs.rewards.metrics import Metrics, measure, total
from control_envs.rewards.terms import (
    Term,
    constant,
    cost_linear,
    cost_tanh,
    efficiency,
    lqr_ratio,
    progress,
    proximity,
    smoothness,
    terminal_exponential,
    terminal_steps,
    validity,
    validity_share,
    violations,
    violations_share,
)
from control_envs.utils.types import Array

__all__ = ["DEFAULT_VERSION", "REWARDS", "FormatReward", "RewardSpec", "Score", "Term", "get_reward", "score"]

DEFAULT_VERSION = "1.3"

# -- versions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FormatReward:
    """The format rewards of a completion, independent of its controls.

    Attributes:
        exact: for the full format.
        found: for each of ``</REASONING>``, ``<CONTROLS>``, ``</CONTROLS>`` that occurs exactly once.
        missing: for each of them that does not.
    """

    exact: float
    found: tuple[float, float, float]
    missing: float


@dataclass(frozen=True)
class RewardSpec:
    """One published reward version.

    Attributes:
        terms: name to term, in the order of reports.
        floor: the least score of a plan (None: no floor).
        bounds: the least and greatest score of any plan.
        no_answer: score of a text without a plan.
        wrong_count: score of a plan with too few or too many controls.
        format: the format rewards, reported and trained on separately and never added to the score.
    """

    version: str
    terms: Mapping[str, Term]
    floor: float | None
    bounds: tuple[float, float]
    no_answer: float
    wrong_count: float
    format: FormatReward

    def __reduce__(self) -> tuple[Callable[[str], RewardSpec], tuple[str]]:
        return get_reward, (self.version,)  # pickled by version: a published version never changes


_FORMAT_1_1 = FormatReward(exact=1.0, found=(0.2, 0.2, 0.1), missing=-0.5)

_SPECS = (
    RewardSpec(
        version="1.0",
        terms={
            "terminal": partial(terminal_steps, steps=((0.05, 10.0), (0.1, 5.0), (0.2, 2.0), (0.5, 0.5))),
            "lqr": partial(cost_linear, scale=100.0),
            "constraints": partial(violations, weight=2.0),
            "validity": partial(validity, valid=3.0, invalid=-5.0),
        },
        floor=None,
        bounds=(-np.inf, 13.0),
        no_answer=-10.0,
        wrong_count=-5.0,
        format=FormatReward(exact=3.0, found=(0.5, 0.5, 0.5), missing=-1.0),
    ),
    RewardSpec(
        version="1.1",
        terms={
            "terminal": partial(
                terminal_steps,
                steps=((0.05, 50.0), (0.1, 25.0), (0.2, 10.0), (0.5, 2.0)),
                quadratic=50.0,
                growth=2.0,
            ),
            "smoothness": partial(smoothness, weight=8.0, rate=2.0),
            "lqr": partial(cost_linear, scale=10.0),
            "constraints": partial(violations, weight=10.0, growth=2.0),
            "validity": partial(validity, valid=5.0, invalid=-10.0),
        },
        floor=None,
        bounds=(-np.inf, 163.0),
        no_answer=-10.0,
        wrong_count=-5.0,
        format=_FORMAT_1_1,
    ),
    RewardSpec(
        version="1.2",
        terms={
            "baseline": partial(constant, value=50.0),
            "progress": partial(progress, weight=30.0),
            "proximity": partial(proximity, weight=15.0, rate=2.0),
            "terminal": partial(terminal_exponential, weight=25.0, rate=10.0),
            "efficiency": partial(efficiency, weight=10.0),
            "smoothness": partial(smoothness, weight=8.0, rate=2.0),
            "lqr": partial(cost_tanh, weight=15.0, scale=200.0),
            "constraints": partial(violations, weight=8.0),
            "validity": partial(validity, valid=5.0, invalid=-10.0),
        },
        floor=None,
        bounds=(-np.inf, 143.0),
        no_answer=-10.0,
        wrong_count=-5.0,
        format=_FORMAT_1_1,
    ),
    RewardSpec(
        version="1.3",
        terms={
            "baseline": partial(constant, value=70.0),
            "progress": partial(progress, weight=30.0),
            "proximity": partial(proximity, weight=15.0, rate=2.0),
            "terminal": partial(terminal_exponential, weight=25.0, rate=10.0),
            "efficiency": partial(efficiency, weight=10.0),
            "smoothness": partial(smoothness, weight=8.0, rate=2.0),
            "lqr": partial(cost_tanh, weight=15.0, scale=200.0),
            "constraints": partial(violations, weight=2.0, cap=20.0),
            "validity": partial(validity_share, weight=10.0, offset=-5.0),
        },
        floor=30.0,
        bounds=(30.0, 163.0),
        no_answer=-10.0,
        wrong_count=-5.0,
        format=_FORMAT_1_1,
    ),
    RewardSpec(
        version="2.0",
        terms={
            "lqr_ratio": partial(lqr_ratio, weight=100.0, least=1e-3, limit=150.0),
            "constraints": partial(violations_share, weight=10.0, half=5.0),
        },
        floor=None,
        bounds=(-10.0, 150.0),
        no_answer=-12.0,
        wrong_count=-11.0,
        format=_FORMAT_1_1,
    ),
)
REWARDS: Mapping[str, RewardSpec] = MappingProxyType({spec.version: spec for spec in _SPECS})


def get_reward(version: str) -> RewardSpec:
    """The reward of a version.

    Raises:
        ValueError: there is no such version.
    """
    if version not in REWARDS:
        close = difflib.get_close_matches(str(version), REWARDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no reward version {version!r}.{hint} Known versions: {', '.join(REWARDS)}.")
    return REWARDS[version]


@dataclass(frozen=True, eq=False)
class Score:
    """A batch of scores: ``total`` after the floor, ``terms`` whose sum is the total before it, each (...)."""

    total: Array
    terms: dict[str, Array]


def score(trajectory: Trajectory | Metrics, version: str = DEFAULT_VERSION, training_progress: float = 0.0) -> Score:
    """Scores trajectories under one reward version.

    Args:
        trajectory: a trajectory or its metrics, of any batch shape (...).
        version: a key of `REWARDS`.
        training_progress: share of training done, in [0, 1]; only version 1.1 depends on it.

    Raises:
        ValueError: unknown version, or progress outside [0, 1].
    """
    if not 0.0 <= training_progress <= 1.0:
        raise ValueError(f"training_progress must lie in [0, 1], not {training_progress!r}")
    spec = get_reward(version)
    metrics = measure(trajectory) if isinstance(trajectory, Trajectory) else trajectory
    terms = {name: term(metrics, training_progress) for name, term in spec.terms.items()}
    summed = total(list(terms.values()))
    return Score(summed if spec.floor is None else np.maximum(summed, spec.floor), terms)
