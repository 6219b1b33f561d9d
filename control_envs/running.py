"""Flights step by step, with the measures and the scores that they have come to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.metrics import (
    SUCCESS_DISTANCE,
    TERMINAL_WEIGHT,
    Metrics,
    entries,
    length,
    limits,
    outside,
    quadratic,
    total,
)
from control_envs.rewards import DEFAULT_VERSION, score
from control_envs.riccati import cost_matrix
from control_envs.systems.base import DIVERGED, Array, System
from control_envs.trajectory import held


def running_scores(
    system: System,
    x0: ArrayLike,
    controls: ArrayLike,
    reward_version: str = DEFAULT_VERSION,
    training_progress: float = 0.0,
) -> Array:
    """The score of each flight after each of its controls, shape (B, N); the last is the score of the whole plan.

    Their increments, with the first score itself in front, are the rewards of the numeric environments.

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
        controls: plans as written, shape (B, N, m).
    """
    plans = np.asarray(controls, dtype=np.float64)
    flights = FlightsInProgress(system, np.asarray(x0, dtype=np.float64))
    scores = np.empty(plans.shape[:2])
    for k in range(plans.shape[1]):
        flights.fly(plans[:, k])
        scores[:, k] = score(flights.metrics(), reward_version, training_progress).total
    return scores


class FlightsInProgress:
    """B flights in progress: the states they have reached and the sums that their measures are made of."""

    def __init__(self, system: System, x0: Array):
        self._system, self._x, self.steps = system, tuple(x0.T.copy()), 0
        # What a step measures by, taken apart once: looking into small arrays takes as long as adding up large ones.
        self._Q, self._R = entries(system.Q), entries(system.R)
        self._x_scale, self._u_scale = system.x_scale.tolist(), system.u_scale.tolist()
        self._x_limits = limits(system.x_bounds, system.x_scale)
        self._u_limits, self._u_bounds = limits(system.u_bounds, system.u_scale), system.u_bounds.tolist()
        self._u: list[Array] | None = None
        z = self._look()
        self._riccati_cost = quadratic(z, entries(cost_matrix(system)))
        self._initial = self._sum_distance = self._distance
        self._outside_at_start = outside(z, self._x_limits)
        self._cost, self._effort, self._roughness, self._control_violations, self._state_violations = np.zeros(
            (5, len(x0))
        )
        self._settled = np.where(self._initial >= SUCCESS_DISTANCE, 1, 0)

    def observation(self) -> Array:
        """The states reached, (B, n)."""
        return np.stack(self._x, axis=-1)

    def fly(self, written: Array) -> None:
        """Plays controls (B, m)."""
        self._cost = self._cost + self._state_cost
        self._command([written[:, i] for i in range(self._system.m)])
        z = self._look()
        # A NaN is no less.
        if not (self._distance <= DIVERGED).all():
            limit = DIVERGED * self._system.x_scale
            self._x = tuple(held(x, at_most) for x, at_most in zip(self._x, limit, strict=True))
            z = self._look()
        self.steps += 1
        self._sum_distance = self._sum_distance + self._distance
        self._state_violations = self._state_violations + outside(z, self._x_limits)
        np.copyto(self._settled, self.steps + 1, where=self._distance >= SUCCESS_DISTANCE)

    def _command(self, written: list[Array]) -> None:
        """Advances the states under controls given by their components, and measures these."""
        v = [w / s for w, s in zip(written, self._u_scale, strict=True)]
        u = [np.minimum(np.maximum(w, low), high) for w, (low, high) in zip(written, self._u_bounds, strict=True)]
        with np.errstate(over="ignore", invalid="ignore"):
            self._x = self._system.advance(self._x, u)
        felt = [a / s for a, s in zip(u, self._u_scale, strict=True)]
        self._cost = self._cost + quadratic(felt, self._R)
        self._control_violations = self._control_violations + outside(v, self._u_limits)
        self._effort = self._effort + total([np.abs(a) for a in v])
        if self._u is not None:
            self._roughness = self._roughness + total([np.abs(a - b) for a, b in zip(v, self._u, strict=True)])
        self._u = v

    def _look(self) -> list[Array]:
        """The scaled components of the states reached, of which distance and cost are noted."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = [x / s for x, s in zip(self._x, self._x_scale, strict=True)]
            self._distance, self._state_cost = length(z), quadratic(z, self._Q)
        return z

    def metrics(self) -> Metrics:
        """The measures of the flights so far, as `control_envs.metrics.measure` has them."""
        k, m = self.steps, self._system.m
        return Metrics(
            initial_distance=self._initial,
            mean_distance=self._sum_distance / (k + 1),
            final_error=self._distance,
            cost=self._cost + TERMINAL_WEIGHT * self._state_cost,
            riccati_cost=self._riccati_cost,
            effort=self._effort / (k * m),
            roughness=self._roughness / (max(k - 1, 1) * m),
            control_violations=self._control_violations,
            state_violations=self._state_violations,
            inside=1.0 - (self._state_violations + self._outside_at_start) / (k + 1),
            settling_time=np.minimum(self._settled, k) * self._system.dt,
            success=(self._distance < SUCCESS_DISTANCE) & (self._control_violations + self._state_violations == 0),
        )
