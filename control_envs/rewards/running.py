"""Trajectories step by step, with the measures and the scores that they have come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from control_envs.dynamics.compiled import fused, packed
from control_envs.dynamics.riccati import cost_matrix
from control_envs.dynamics.trajectory import Trajectory, held
from control_envs.rewards.metrics import SUCCESS_DISTANCE, Metrics, entries, length, limits, outside, quadratic, total
from control_envs.rewards.versions import DEFAULT_VERSION, score
from control_envs.systems.base import DIVERGED, TERMINAL_WEIGHT, System
from control_envs.utils.types import Array


def running_scores(
    system: System,
    x0: ArrayLike,
    controls: ArrayLike,
    reward_version: str = DEFAULT_VERSION,
    training_progress: float = 0.0,
) -> Array:
    """The score of each trajectory after each of its controls, shape (B, N); the last is the score of the whole plan.

    Their increments, with the first score itself in front, are the rewards of the numeric environments.

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
        controls: plans as written, shape (B, N, m).
    """
    plans = np.asarray(controls, dtype=np.float64)
    trajectories = RunningTrajectories(system, np.asarray(x0, dtype=np.float64))
    scores = np.empty(plans.shape[:2])
    for k in range(plans.shape[1]):
        trajectories.step(plans[:, k])
        scores[:, k] = score(trajectories.metrics(), reward_version, training_progress).total
    return scores


def simulate_compiled(system: System, x0: ArrayLike, controls: ArrayLike) -> tuple[Trajectory, Metrics]:
    """What `simulate` and `measure` say of whole plans, by compiled loops (the measures up to rounding).

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
        controls: plans as written, shape (B, N, m).

    Raises:
        ImportError: numba is not installed.
    """
    plans, start = np.asarray(controls, dtype=np.float64), np.asarray(x0, dtype=np.float64)
    trajectories = CompiledTrajectories(system, start)
    x = np.empty((*plans.shape[:1], plans.shape[1] + 1, system.n))
    x[:, 0] = start
    for k in range(plans.shape[1]):
        trajectories.step(plans[:, k])
        x[:, k + 1] = trajectories.observation()
    return Trajectory(system, x, system.saturate(plans), plans), trajectories.metrics()


class Sums(NamedTuple):
    """B trajectories in progress: the states they have reached, and what their measures are made of; each array (B,).

    Attributes:
        x: n components of the states.
        v: m components of the last controls as written, scaled.
        distance: of the states, scaled.
        state_cost: x'Qx of the states.
        settled: states before those at the end that are all near.
        initial: the distance at the start; riccati_cost and outside_at_start likewise.
    """

    x: tuple[Array, ...]
    v: tuple[Array, ...]
    distance: Array
    state_cost: Array
    sum_distance: Array
    cost: Array
    effort: Array
    roughness: Array
    control_violations: Array
    state_violations: Array
    settled: Array
    initial: Array
    riccati_cost: Array
    outside_at_start: Array


class StepMeasures:
    """How a plant's trajectories are measured step by step.

    Its functions compute element by element on any kind of number, numpy's arrays and those of `fused`.
    """

    def __init__(self, system: System):
        self._system = system
        # What a step measures by, taken apart once: looking into small arrays takes as long as adding up large ones.
        self._Q, self._R = entries(system.Q), entries(system.R)
        self._x_scale, self._u_scale = system.x_scale.tolist(), system.u_scale.tolist()
        self._x_limits = limits(system.x_bounds, system.x_scale)
        self._u_limits, self._u_bounds = limits(system.u_bounds, system.u_scale), system.u_bounds.tolist()

    def start(self, x: tuple[Array, ...]) -> Sums:
        """Trajectories that have not begun, from the components of their initial states."""
        z = self._scaled(x)
        distance, nothing = length(z), np.zeros(len(x[0]))
        return Sums(
            x=x,
            v=(nothing,) * self._system.m,
            distance=distance,
            state_cost=quadratic(z, self._Q),
            sum_distance=distance,
            cost=nothing,
            effort=nothing,
            roughness=nothing,
            control_violations=nothing,
            state_violations=nothing,
            settled=np.where(distance >= SUCCESS_DISTANCE, 1.0, 0.0),
            initial=distance,
            riccati_cost=quadratic(z, entries(cost_matrix(self._system))),
            outside_at_start=outside(z, self._x_limits) + 0.0,
        )

    def step(self, sums: Sums, written: tuple[Array, ...], k: int, hold: bool = False) -> Sums:
        """The trajectories after one more control, the k-th from 0; ``hold`` keeps what diverges at its limit."""
        v = tuple(w / s for w, s in zip(written, self._u_scale, strict=True))
        u = [np.minimum(np.maximum(w, low), high) for w, (low, high) in zip(written, self._u_bounds, strict=True)]
        x = self._system.advance(sums.x, u)
        if hold:
            x = tuple(held(c, DIVERGED * s) for c, s in zip(x, self._x_scale, strict=True))
        z, felt = self._scaled(x), [a / s for a, s in zip(u, self._u_scale, strict=True)]
        distance = length(z)
        change = total([np.abs(a - b) for a, b in zip(v, sums.v, strict=True)])
        return sums._replace(
            x=x,
            v=v,
            distance=distance,
            state_cost=quadratic(z, self._Q),
            sum_distance=sums.sum_distance + distance,
            cost=sums.cost + sums.state_cost + quadratic(felt, self._R),
            effort=sums.effort + total([np.abs(a) for a in v]),
            roughness=sums.roughness + change * (k > 0),
            control_violations=sums.control_violations + outside(v, self._u_limits),
            state_violations=sums.state_violations + outside(z, self._x_limits),
            settled=np.where(distance >= SUCCESS_DISTANCE, k + 2.0, sums.settled),
        )

    def metrics(self, sums: Sums, k: int) -> Metrics:
        """The measures of trajectories of k controls, as `control_envs.rewards.metrics.measure` has them."""
        m = self._system.m
        violations = sums.control_violations + sums.state_violations
        return Metrics(
            initial_distance=sums.initial,
            mean_distance=sums.sum_distance / (k + 1),
            final_error=sums.distance,
            cost=sums.cost + TERMINAL_WEIGHT * sums.state_cost,
            riccati_cost=sums.riccati_cost,
            effort=sums.effort / (k * m),
            roughness=sums.roughness / (np.maximum(k - 1, 1) * m),
            control_violations=sums.control_violations,
            state_violations=sums.state_violations,
            inside=1.0 - (sums.state_violations + sums.outside_at_start) / (k + 1),
            settling_time=np.minimum(sums.settled, k) * self._system.dt,
            success=(sums.distance < SUCCESS_DISTANCE) & (violations == 0),
        )

    def _scaled(self, x: tuple[Array, ...]) -> list[Array]:
        return [c / s for c, s in zip(x, self._x_scale, strict=True)]


class RunningTrajectories:
    """B trajectories in progress.

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
    """

    def __init__(self, system: System, x0: Array):
        self.steps, self._measures, self._m = 0, StepMeasures(system), system.m
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums = self._measures.start(tuple(x0.T.copy()))

    def observation(self) -> Array:
        """The states reached, (B, n)."""
        return np.stack(self._sums.x, axis=-1)

    def step(self, written: Array) -> None:
        """Plays controls (B, m)."""
        u = tuple(written[:, i] for i in range(self._m))
        with np.errstate(over="ignore", invalid="ignore"):
            after = self._measures.step(self._sums, u, self.steps)
            if not (after.distance <= DIVERGED).all():  # a NaN is no less
                after = self._measures.step(self._sums, u, self.steps, hold=True)
        self._sums, self.steps = after, self.steps + 1

    def metrics(self) -> Metrics:
        """The measures of the trajectories so far, as `control_envs.rewards.metrics.measure` has them."""
        return self._measures.metrics(self._sums, self.steps)

    def total(self, reward_version: str = DEFAULT_VERSION) -> Array:
        """The score of the trajectories so far, shape (B,)."""
        return score(self.metrics(), reward_version).total


class CompiledTrajectories:
    """`RunningTrajectories` by compiled loops (numba), which take about a second to compile for each plant.

    Raises:
        ImportError: numba is not installed.
    """

    def __init__(self, system: System, x0: Array):
        self.steps, self._loops = 0, _loops(system)
        self._states, self._here = slice(system.n), slice(len(x0))
        with np.errstate(over="ignore", invalid="ignore"):
            self._sums = packed(self._loops.measures.start(tuple(x0.T)))
        self._written = np.zeros((system.m, self._sums.shape[1]))

    def observation(self) -> Array:
        """The states reached, (B, n)."""
        return self._sums[self._states, self._here].T.copy()

    def step(self, written: Array) -> None:
        """Plays controls (B, m)."""
        self._written[:, self._here] = written.T
        self._loops.step(self._sums, self._written, self.steps, out=self._sums)
        self.steps += 1

    def metrics(self) -> Metrics:
        """The measures of the trajectories so far, as `control_envs.rewards.metrics.measure` has them."""
        metrics = Metrics(*self._loops.metrics(self._sums, self.steps)[:, self._here])
        return replace(metrics, success=metrics.success != 0)

    def total(self, reward_version: str = DEFAULT_VERSION) -> Array:
        """The score of the trajectories so far, shape (B,)."""
        return self._loops.total(reward_version)(self._sums, self.steps)[0, self._here]


class _Loops:
    """What a plant's ruler does, compiled."""

    def __init__(self, system: System):
        measures = self.measures = StepMeasures(system)
        some = measures.start((np.zeros(1),) * system.n)
        self.step = fused(partial(measures.step, hold=True), some, some.v, 0)
        self.metrics = fused(lambda *sums: tuple(vars(measures.metrics(*sums)).values()), some, 0)
        self._some, self._totals = some, dict[str, Callable[..., Array]]()

    def total(self, version: str) -> Callable[..., Array]:
        """The score under one reward version."""
        if version not in self._totals:
            self._totals[version] = fused(
                lambda *sums: score(self.measures.metrics(*sums), version).total, self._some, 0
            )
        return self._totals[version]


_loops = lru_cache(maxsize=64)(_Loops)
