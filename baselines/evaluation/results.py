"""Evaluation of a policy: its rollout from given initial states, and every metric of it."""

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
from control_envs.rewards import DEFAULT_VERSION, REWARDS
from control_envs.text import Verdict
from control_envs.text.scoring import invalid_terms
from control_envs.utils.types import Array

__all__ = ["Result", "evaluate", "paired_difference", "to_dict"]


@dataclass(frozen=True, eq=False)
class Result:
    """The evaluation of one policy from S initial states.

    Attributes:
        name: the policy's name.
        values: name of each metric to its values, shape (S,); NaN where there is none. For an invalid trajectory,
            "answered", "success" and "violated" are 0, metrics of the trajectory are NaN, and rewards are those of a
            text without a plan (NaN if a solver failed or no answer arrived). ``cost_ratio`` is J/J* of all valid
            trajectories, ``cost_ratio_kept`` of the feasible ones (never below 1).
        trajectories: batch shape (S,); invalid ones are meaningless.
        valid: which trajectories are valid, shape (S,).
        verdicts: the number of trajectories with each verdict.
        seconds_per_decision: as in `baselines.evaluation.rollout.Rollout`.
        controller: the controller after the rollout.
    """

    name: str
    values: dict[str, Array]
    trajectories: Trajectory
    valid: np.ndarray
    verdicts: dict[str, int]
    seconds_per_decision: float
    controller: Controller

    @property
    def completions(self) -> Sequence[str]:
        """A text policy's completions, one for each initial state; empty for any other policy."""
        return getattr(self.controller, "completions", ())  # a controller of your own need not have any


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
    """Rolls out a policy from initial states (S, n) and measures it.

    Args:
        policy: the policy.
        system: the nominal plant.
        x0: initial states, shape (S, n).
        reference_cost: J* from each initial state, shape (S,); NaN where there is none.
        scenario: noise and parameters of the true plant.
        seed: seed of the scenario's noise.
        best_reward: the best reward from each initial state under `DEFAULT_VERSION`, shape (S,); adds
            ``reward_share``, the reward divided by it.
        progress: show a progress bar.
    """
    rolled_out = rollout(policy, system, x0, scenario, seed, progress)
    values = _values(rolled_out, reference_cost)
    if best_reward is not None:
        values["reward_share"] = values[f"reward_{DEFAULT_VERSION}"] / best_reward
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
    """Rewards (S,): the totals of valid trajectories, the score of a text without a plan, NaN if a solver failed."""
    rewards = np.where(rolled_out.valid, totals, np.nan)
    for i in np.flatnonzero(~rolled_out.valid):
        verdict = rolled_out.verdicts[i]
        if verdict in ("truncated", "refused"):  # a model's text all the same, which holds no answer
            verdict = "missing_tags"
        if verdict in get_args(Verdict):
            rewards[i] = sum(invalid_terms(verdict, REWARDS[version]).values())
    return rewards


def paired_difference(first: Result, second: Result, measure_name: str) -> dict[str, Any]:
    """Mean of ``first - second`` over the initial states where both have a value, with its 95 % interval."""
    difference = paired(first.values[measure_name], second.values[measure_name])
    return {"policies": [first.name, second.name], "measure": measure_name, **difference}


def to_dict(results: Sequence[Result]) -> dict[str, Any]:
    """Verdicts, times and summaries of every metric, by policy name."""
    return {
        r.name: {
            "verdicts": r.verdicts,
            "seconds_per_decision": None if np.isnan(r.seconds_per_decision) else r.seconds_per_decision,
            "measures": {name: summarise(values) for name, values in r.values.items()},
        }
        for r in results
    }
