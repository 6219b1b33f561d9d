"""How good is it? The one place where policies are measured: any of them, from the same held-out initial states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from baselines.controllers.policy import Controller, Policy
from baselines.evaluation.rollout import NOMINAL, Rollout, Scenario, rollout
from baselines.evaluation.statistics import paired, summarise
from control_envs import System, measure, score
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rewards import REWARDS
from control_envs.text import Verdict
from control_envs.text.scoring import invalid_terms
from control_envs.utils.types import Array


@dataclass(frozen=True, eq=False)
class Result:
    """What one policy did from each of S initial states.

    Attributes:
        name: the policy's name.
        values: measure name to one number a state (S,); NaN where there is none. A trajectory without an answer has a
            rate of 0, no measures of trajectory, and the rewards of a text that holds no plan (a solver's: none).
            ``cost_ratio`` is J/J* of every trajectory, ``cost_ratio_kept`` of those that keep the bounds (never below 1).
        trajectories: batch shape (S,); those without an answer are meaningless.
        answered: which trajectories count, shape (S,).
        verdicts: how often each verdict was given.
        seconds_per_decision: see `baselines.evaluation.rollout.Rollout`.
        controller: what flew.
    """

    name: str
    values: dict[str, Array]
    trajectories: Trajectory
    valid: np.ndarray
    verdicts: dict[str, int]
    seconds_per_decision: float
    controller: Controller


def evaluate(
    policy: Policy,
    system: System,
    x0: Array,
    reference_cost: Array,
    scenario: Scenario = NOMINAL,
    seed: int = 0,
    best_reward: Array | None = None,
    progress: bool = False,
) -> Result:
    """Flies a policy from initial states (S, n) and measures it.

    Args:
        reference_cost: J* from each state, shape (S,); NaN where there is none.
        seed: of the scenario's noise.
        best_reward: the best 1.3 reward from each state, if it is known; adds ``reward_share``.
    """
    rolled_out = rollout(policy, system, x0, scenario, seed, progress)
    values = _values(rolled_out, reference_cost)
    if best_reward is not None:
        values["reward_share"] = values["reward_1.3"] / best_reward
    return Result(
        policy.name,
        values,
        rolled_out.trajectories,
        rolled_out.valid,
        dict(Counter(rolled_out.verdicts.tolist())),
        rolled_out.seconds_per_decision,
        rolled_out.controller,
    )


def _values(rolled_out: Rollout, reference_cost: Array) -> dict[str, Array]:
    metrics, valid = measure(rolled_out.trajectories), rolled_out.valid

    def where(condition: np.ndarray, values: np.ndarray, otherwise: float = np.nan) -> Array:
        return np.where(condition, np.asarray(values, dtype=np.float64), otherwise)

    ratio = metrics.cost / reference_cost
    return {
        "answered": valid.astype(float),
        "success": where(valid, metrics.success, 0.0),
        "violated": where(valid, metrics.violations > 0, 0.0),
        "final_error": where(valid, metrics.final_error),
        "cost": where(valid, metrics.cost),
        "cost_ratio": where(valid, ratio),
        "cost_ratio_kept": where(valid & (metrics.violations == 0), ratio),
        "effort": where(valid, metrics.effort),
        "roughness": where(valid, metrics.roughness),
        "settling_time": where(valid, metrics.settling_time),
        **{f"reward_{version}": _rewards(rolled_out, score(metrics, version).total, version) for version in REWARDS},
    }


def _rewards(rolled_out: Rollout, totals: Array, version: str) -> Array:
    """Totals of the trajectories that were answered; a text without a plan has its own score, a solver's failure none."""
    out = np.where(rolled_out.valid, totals, np.nan)
    for i in np.flatnonzero(~rolled_out.valid):
        if rolled_out.verdicts[i] in get_args(Verdict):
            out[i] = sum(invalid_terms(rolled_out.verdicts[i], REWARDS[version]).values())
    return out


def paired_difference(first: Result, second: Result, measure_name: str) -> dict[str, Any]:
    """Mean of ``first - second`` over the states where both have a value, with its 95 % interval."""
    difference = paired(first.values[measure_name], second.values[measure_name])
    return {"policies": [first.name, second.name], "measure": measure_name, **difference}


def to_dict(results: Sequence[Result]) -> dict[str, Any]:
    """Every measure of every policy, summarised."""
    return {
        r.name: {
            "verdicts": r.verdicts,
            "seconds_per_decision": None if np.isnan(r.seconds_per_decision) else r.seconds_per_decision,
            "measures": {name: summarise(values) for name, values in r.values.items()},
        }
        for r in results
    }
