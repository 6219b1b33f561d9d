"""Reward terms: each a pure function of a trajectory's metrics and the training progress. `versions` combines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from control_envs.rewards.metrics import SUCCESS_DISTANCE, Metrics
from control_envs.utils.types import Array

__all__ = [
    "Term",
    "constant",
    "cost_linear",
    "cost_tanh",
    "efficiency",
    "lqr_ratio",
    "progress",
    "proximity",
    "smoothness",
    "terminal_exponential",
    "terminal_steps",
    "validity",
    "validity_share",
    "violations",
    "violations_share",
]

# (metrics, training progress in [0, 1]) -> reward, of the batch's shape.
Term = Callable[[Metrics, float], Array]


def constant(m: Metrics, training_progress: float, *, value: float) -> Array:
    """The same for every plan."""
    return np.full(np.shape(m.final_error), value)


def progress(m: Metrics, training_progress: float, *, weight: float) -> Array:
    """The share of the initial distance covered by the end; a start at the origin earns all or nothing."""
    start = np.where(m.initial_distance > 0, m.initial_distance, 1.0)
    share = np.minimum(np.maximum((m.initial_distance - m.final_error) / start, 0.0), 1.0)
    return weight * np.where(m.initial_distance > 0, share, m.final_error < SUCCESS_DISTANCE)


def proximity(m: Metrics, training_progress: float, *, weight: float, rate: float) -> Array:
    """A bonus that decays with the mean distance from the origin."""
    return weight * np.exp(-rate * m.mean_distance)


def terminal_steps(
    m: Metrics,
    training_progress: float,
    *,
    steps: Sequence[tuple[float, float]],
    quadratic: float = 0.0,
    growth: float = 0.0,
) -> Array:
    """A bonus by steps of the final error, beyond them a quadratic penalty; times 1 + growth * training progress."""
    error = m.final_error
    value = np.select([error < limit for limit, _ in steps], [bonus for _, bonus in steps], -quadratic * error**2)
    reward: Array = value * (1.0 + growth * training_progress)
    return reward


def terminal_exponential(m: Metrics, training_progress: float, *, weight: float, rate: float) -> Array:
    """A bonus that decays with the final error."""
    return weight * np.exp(-rate * m.final_error)


def efficiency(m: Metrics, training_progress: float, *, weight: float) -> Array:
    """A bonus for small controls."""
    return weight * np.exp(-m.effort)


def smoothness(m: Metrics, training_progress: float, *, weight: float, rate: float) -> Array:
    """A bonus for small changes between controls."""
    return weight * np.exp(-rate * m.roughness)


def cost_linear(m: Metrics, training_progress: float, *, scale: float) -> Array:
    """Minus the LQR cost J."""
    return -m.cost / scale


def cost_tanh(m: Metrics, training_progress: float, *, weight: float, scale: float) -> Array:
    """Minus the LQR cost J, saturating at ``weight``."""
    return -weight * np.tanh(m.cost / scale)


def lqr_ratio(m: Metrics, training_progress: float, *, weight: float, least: float, limit: float) -> Array:
    """The cost of LQR over the cost of the plan, up to ``limit``; ``least`` keeps the ratio finite at the origin."""
    return np.minimum(weight * (m.riccati_cost + least) / (m.cost + least), limit)


def violations_share(m: Metrics, training_progress: float, *, weight: float, half: float) -> Array:
    """A penalty that saturates with the number of violations: half of ``weight`` at ``half`` violations."""
    return -weight * m.violations / (m.violations + half)


def violations(
    m: Metrics, training_progress: float, *, weight: float, cap: float = np.inf, growth: float = 0.0
) -> Array:
    """A penalty for each violation, up to ``cap``; times 1 + growth * training progress."""
    return -np.minimum(weight * m.violations, cap) * (1.0 + growth * training_progress)


def validity(m: Metrics, training_progress: float, *, valid: float, invalid: float) -> Array:
    """A bonus if all states are inside their bounds, else a penalty."""
    return np.where(m.state_violations == 0, valid, invalid)


def validity_share(m: Metrics, training_progress: float, *, weight: float, offset: float) -> Array:
    """A bonus in proportion to the states inside their bounds."""
    return weight * m.inside + offset
