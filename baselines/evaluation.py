"""How good is it? One table for any policies that fly from the same held-out initial states.

Means, interquartile means (Agarwal et al., "Deep RL at the edge of the statistical precipice", NeurIPS 2021),
95 % bootstrap intervals, and paired differences: each state's own difference between two policies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from control_envs import System, measure, score
from control_envs._extras import need
from control_envs.rewards import DEFAULT_VERSION, REWARDS
from control_envs.scoring import score_completions
from control_envs.systems.base import Array
from control_envs.trajectory import Trajectory

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Result:
    """What one policy did from each of S initial states.

    Attributes:
        name: the policy's name.
        values: measure name to one number a state (S,); NaN where the policy gave no plan, except in rewards
            (which score such a text too) and rates (which count it as 0).
        flights: the flights, batch shape (parsed count,).
        parsed: which states the policy gave a plan for, shape (S,).
        verdicts: how often each parse verdict was given.
    """

    name: str
    values: dict[str, Array]
    flights: Trajectory
    parsed: np.ndarray
    verdicts: dict[str, int] = field(default_factory=dict)


def result_of_flights(name: str, flights: Trajectory, reference_cost: Array) -> Result:
    """Measures a policy from its flights (S,), its cost relative to ``reference_cost`` (S,)."""
    rewards = {version: score(flights, version).total for version in REWARDS}
    parsed = np.ones(len(reference_cost), dtype=bool)
    return Result(name, _values(flights, parsed, rewards, reference_cost), flights, parsed)


def result_of_texts(name: str, system: System, x0: Array, completions: Sequence[str], reference_cost: Array) -> Result:
    """Measures a whole-plan text policy from its completions at initial states (S, n)."""
    scores = {version: score_completions(system, x0, completions, version) for version in REWARDS}
    one = scores[DEFAULT_VERSION]
    rewards = {version: s.total for version, s in scores.items()}
    values = _values(one.trajectory, one.valid, rewards, reference_cost)
    return Result(name, values, one.trajectory, one.valid, dict(Counter(one.verdicts)))


def _values(
    flights: Trajectory, parsed: np.ndarray, rewards: dict[str, Array], reference_cost: Array
) -> dict[str, Array]:
    metrics = measure(flights)

    def spread(values: np.ndarray, missing: float) -> Array:
        out = np.full(len(parsed), missing)
        out[parsed] = values
        return out

    cost = spread(metrics.cost, np.nan)
    return {
        "parsed": parsed.astype(float),
        "success": spread(metrics.success, 0.0),
        "violated": spread(metrics.violations > 0, 0.0),
        "final_error": spread(metrics.final_error, np.nan),
        "cost": cost,
        "cost_ratio": cost / reference_cost,
        "effort": spread(metrics.effort, np.nan),
        "roughness": spread(metrics.roughness, np.nan),
        **{f"reward_{version}": total for version, total in rewards.items()},
    }


# -- statistics ----------------------------------------------------------------------------------------------


def summarise(values: Array) -> dict[str, Any]:
    """Mean, interquartile mean, median and a 95 % bootstrap interval of the mean, over the finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"count": 0, "mean": None, "iqm": None, "median": None, "interval": None}
    return {
        "count": len(finite),
        "mean": float(finite.mean()),
        "iqm": float(need("scipy.stats", "baselines").trim_mean(finite, 0.25)),
        "median": float(np.median(finite)),
        "interval": bootstrap_interval(finite),
    }


def bootstrap_interval(values: Array, statistic: Any = np.mean) -> list[float]:
    """The 95 % percentile interval of a statistic under resampling of the states (seeded, so that it repeats)."""
    if np.all(values == values[0]):
        return [float(values[0])] * 2
    found = need("scipy.stats", "baselines").bootstrap(
        (values,), statistic, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return [float(found.confidence_interval.low), float(found.confidence_interval.high)]


def paired_difference(better: Result, worse: Result, measure_name: str) -> dict[str, Any]:
    """Mean of ``better - worse`` over the states where both have a value, with its 95 % interval."""
    difference = better.values[measure_name] - worse.values[measure_name]
    summary = summarise(difference)
    interval = summary["interval"]
    return {
        "policies": [better.name, worse.name],
        "measure": measure_name,
        **summary,
        "excludes_zero": interval is not None and (interval[0] > 0 or interval[1] < 0),
    }


# -- reports -------------------------------------------------------------------------------------------------


def to_dict(results: Sequence[Result]) -> dict[str, Any]:
    """Every measure of every policy, summarised."""
    return {
        r.name: {
            "verdicts": r.verdicts,
            "measures": {name: summarise(values) for name, values in r.values.items()},
        }
        for r in results
    }


_COLUMNS = (
    # title, measure, statistic, scale, decimals
    ("parsed %", "parsed", "mean", 100, 1),
    ("success %", "success", "mean", 100, 1),
    ("final error", "final_error", "mean", 1, 3),
    ("J / J_LQR mean", "cost_ratio", "mean", 1, 3),
    ("IQM", "cost_ratio", "iqm", 1, 3),
    ("median", "cost_ratio", "median", 1, 3),
    ("reward 1.3", "reward_1.3", "mean", 1, 2),
)


def markdown_table(summary: dict[str, Any]) -> str:
    """The main measures, one row a policy, means with their 95 % intervals."""
    lines = ["| policy | " + " | ".join(title for title, *_ in _COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, policy in summary.items():
        cells = [_cell(policy["measures"][key], which, scale, places) for _, key, which, scale, places in _COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(measured: dict[str, Any], which: str, scale: float, decimals: int) -> str:
    if measured["mean"] is None:
        return "-"
    text = f"{measured[which] * scale:.{decimals}f}"
    low, high = measured["interval"]
    if which != "mean" or low == high:
        return text
    return f"{text} [{low * scale:.{decimals}f}, {high * scale:.{decimals}f}]"


def paired_table(differences: Sequence[dict[str, Any]]) -> str:
    """Paired differences, one row each."""
    lines = ["| difference | measure | mean [95 % interval] | states |", "|---|---|---|---|"]
    for d in differences:
        if d["mean"] is None:
            continue
        low, high = d["interval"]
        lines.append(
            f"| {d['policies'][0]} - {d['policies'][1]} | {d['measure']} "
            f"| {d['mean']:+.3f} [{low:+.3f}, {high:+.3f}] | {d['count']} |"
        )
    return "\n".join(lines)
