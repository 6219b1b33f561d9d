"""Means, interquartile means, bootstrap intervals and paired differences.

After Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["bootstrap_interval", "interquartile_mean", "paired", "summarise"]

RESAMPLES = 2000


def summarise(values: Array) -> dict[str, Any]:
    """Count, mean, interquartile mean, median, and the means' 95 % bootstrap intervals, of the finite values."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"count": 0, "mean": None, "interval": None, "iqm": None, "iqm_interval": None, "median": None}
    return {
        "count": len(finite),
        "mean": float(finite.mean()),
        "interval": bootstrap_interval(finite),
        "iqm": float(interquartile_mean(finite)),
        "iqm_interval": bootstrap_interval(finite, interquartile_mean),
        "median": float(np.median(finite)),
    }


def interquartile_mean(values: Array, axis: int = -1) -> Array:
    """The mean of the middle half of the values."""
    return need("scipy.stats", "baselines").trim_mean(values, 0.25, axis=axis)


def bootstrap_interval(values: Array, statistic: Any = np.mean) -> list[float]:
    """The 95 % percentile bootstrap interval of a statistic, with a fixed seed."""
    if np.all(values == values[0]):
        return [float(values[0])] * 2
    result = need("scipy.stats", "baselines").bootstrap(
        (values,), statistic, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def paired(first: Array, second: Array) -> dict[str, Any]:
    """``first - second``, summarised where both have a value, and whether the interval excludes 0."""
    summary = summarise(first - second)
    interval = summary["interval"]
    return {**summary, "excludes_zero": interval is not None and (interval[0] > 0 or interval[1] < 0)}
