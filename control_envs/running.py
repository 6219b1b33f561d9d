"""Flights step by step, with the measures and the scores that they have come to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.metrics import SUCCESS_DISTANCE, TERMINAL_WEIGHT, Metrics, outside, quadratic
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
        B = len(x0)
        self._scale = list(zip(range(system.n), system.x_scale.tolist(), strict=True))
        self._limit = DIVERGED * system.x_scale
        self._u: tuple[Array, ...] | None = None
        z = self._scaled()
        self._riccati_cost = quadratic(z, cost_matrix(system))
        self._initial = self._distance = np.sqrt(quadratic(z, np.eye(system.n)))
        self._sum_distance = self._initial.copy()
        self._cost, self._state_cost = np.zeros(B), quadratic(z, system.Q)
        self._effort, self._roughness = np.zeros(B), np.zeros(B)
        self._control_violations = np.zeros(B, dtype=np.int64)
        self._state_violations = np.zeros(B, dtype=np.int64)
        self._started_outside = outside(z, system.x_bounds / system.x_scale[:, None])
        self._settled = np.where(self._initial >= SUCCESS_DISTANCE, 1, 0)

    def observation(self) -> Array:
        """The states reached, (B, n)."""
        return np.stack(self._x, axis=-1)

    def fly(self, written: Array) -> None:
        """Plays controls (B, m)."""
        system, bounds = self._system, self._system.u_bounds
        u = tuple(np.minimum(np.maximum(w, low), high) for w, (low, high) in zip(written.T, bounds, strict=True))
        with np.errstate(over="ignore", invalid="ignore"):
            self._x = tuple(held(x, limit) for x, limit in zip(system.advance(self._x, u), self._limit, strict=True))
        self.steps += 1
        v = tuple(w / s for w, s in zip(written.T, system.u_scale, strict=True))
        self._control_violations += outside(v, bounds / system.u_scale[:, None])
        self._cost += self._state_cost + quadratic([a / s for a, s in zip(u, system.u_scale, strict=True)], system.R)
        self._effort += sum(np.abs(a) for a in v)
        if self._u is not None:
            self._roughness += sum(np.abs(a - b) for a, b in zip(v, self._u, strict=True))
        self._u = v
        z = self._scaled()
        self._state_cost = quadratic(z, system.Q)
        self._distance = np.sqrt(quadratic(z, np.eye(system.n)))
        self._sum_distance += self._distance
        self._state_violations += outside(z, system.x_bounds / system.x_scale[:, None])
        self._settled[self._distance >= SUCCESS_DISTANCE] = self.steps + 1

    def metrics(self) -> Metrics:
        """The measures of the flights so far, as `control_envs.metrics.measure` has them."""
        k, m = self.steps, self._system.m
        violations = self._control_violations + self._state_violations
        return Metrics(
            initial_distance=self._initial,
            mean_distance=self._sum_distance / (k + 1),
            final_error=self._distance,
            cost=self._cost + TERMINAL_WEIGHT * self._state_cost,
            riccati_cost=self._riccati_cost,
            effort=self._effort / (k * m),
            roughness=self._roughness / (max(k - 1, 1) * m),
            control_violations=self._control_violations.astype(np.float64),
            state_violations=self._state_violations.astype(np.float64),
            inside=1.0 - (self._state_violations + self._started_outside) / (k + 1),
            settling_time=np.minimum(self._settled, k) * self._system.dt,
            success=(self._distance < SUCCESS_DISTANCE) & (violations == 0),
        )

    def _scaled(self) -> list[Array]:
        return [self._x[i] / scale for i, scale in self._scale]
