"""Trajectories simulated step by step, with running metrics and scores."""

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

__all__ = ["CompiledTrajectories", "RunningTrajectories", "StepMeasures", "Sums", "running_scores", "simulate_compiled"]


def running_scores(
    system: System,
    x0: ArrayLike,
    controls: ArrayLike,
    reward_version: str = DEFAULT_VERSION,
    training_progress: float = 0.0,
) -> Array:
    """The score of each trajectory after each control, shape (B, N); the last is the score of the whole plan.

    The first score and the increments between scores are the rewards of the numeric environments.

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
        controls: plans as commanded, shape (B, N, m).
        reward_version: a key of `control_envs.rewards.REWARDS`.
        training_progress: in [0, 1], for versions whose terms depend on it.
    """
    plans = np.asarray(controls, dtype=np.float64)
    trajectories = RunningTrajectories(system, np.asarray(x0, dtype=np.float64))
    scores = np.empty(plans.shape[:2])
    for k in range(plans.shape[1]):
        trajectories.step(plans[:, k])
        scores[:, k] = score(trajectories.metrics(), reward_version, training_progress).total
    return scores


def simulate_compiled(system: System, x0: ArrayLike, controls: ArrayLike) -> tuple[Trajectory, Metrics]:
    """`simulate` and `measure` for whole plans, with compiled loops (metrics are the same up to rounding).

    Args:
        system: the plant.
        x0: initial states, shape (B, n).
        controls: plans as commanded, shape (B, N, m).

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
    """B trajectories in progress: their current states and the sums that make up their metrics. Each array is (B,).

    Attributes:
        x: n components of the current states.
        v: m components of the last controls as commanded, scaled.
        distance: distance of the current states, scaled.
        state_cost: x'Qx of the current states.
        settled: index of the first state from which all states so far are near the origin.
        initial: distance of the initial states; ``riccati_cost`` and ``outside_at_start`` are theirs too.
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
    """Metrics of a plant's trajectories, step by step.

    The methods are elementwise and work on numpy arrays and on the placeholders of `fused`.
    """

    def __init__(self, system: System):
        self._system = system
        # Unpacked once: indexing small arrays takes as long as adding large ones.
        self._Q, self._R = entries(system.Q), entries(system.R)
        self._x_scale, self._u_scale = system.x_scale.tolist(), system.u_scale.tolist()
        self._x_limits = limits(system.x_bounds, system.x_scale)
        self._u_limits, self._u_bounds = limits(system.u_bounds, system.u_scale), system.u_bounds.tolist()

    def start(self, x: tuple[Array, ...]) -> Sums:
        """Trajectories at their initial states, given by components."""
        z = self._scaled(x)
        distance, zeros = length(z), np.zeros(len(x[0]))
        return Sums(
            x=x,
            v=(zeros,) * self._system.m,
            distance=distance,
            state_cost=quadratic(z, self._Q),
            sum_distance=distance,
            cost=zeros,
            effort=zeros,
            roughness=zeros,
            control_violations=zeros,
            state_violations=zeros,
            settled=np.where(distance >= SUCCESS_DISTANCE, 1.0, 0.0),
            initial=distance,
            riccati_cost=quadratic(z, entries(cost_matrix(self._system))),
            outside_at_start=outside(z, self._x_limits) + 0.0,
        )

    def step(self, sums: Sums, written: tuple[Array, ...], k: int, hold: bool = False) -> Sums:
        """The trajectories after the control of step k (from 0); ``hold`` holds diverged states at their limit."""
        v = tuple(w / s for w, s in zip(written, self._u_scale, strict=True))
        u = [np.minimum(np.maximum(w, low), high) for w, (low, high) in zip(written, self._u_bounds, strict=True)]
        x = self._system.advance(sums.x, u)
        if hold:
            x = tuple(held(c, DIVERGED * s) for c, s in zip(x, self._x_scale, strict=True))
        z, applied = self._scaled(x), [a / s for a, s in zip(u, self._u_scale, strict=True)]
        distance = length(z)
        change = total([np.abs(a - b) for a, b in zip(v, sums.v, strict=True)])
        return sums._replace(
            x=x,
            v=v,
            distance=distance,
            state_cost=quadratic(z, self._Q),
            sum_distance=sums.sum_distance + distance,
            cost=sums.cost + sums.state_cost + quadratic(applied, self._R),
            effort=sums.effort + total([np.abs(a) for a in v]),
            roughness=sums.roughness + change * (k > 0),
            control_violations=sums.control_violations + outside(v, self._u_limits),
            state_violations=sums.state_violations + outside(z, self._x_limits),
            settled=np.where(distance >= SUCCESS_DISTANCE, k + 2.0, sums.settled),
        )

    def metrics(self, sums: Sums, k: int) -> Metrics:
        """The metrics after k controls, as `control_envs.rewards.metrics.measure` gives them."""
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
        """The current states, (B, n)."""
        return np.stack(self._sums.x, axis=-1)

    def step(self, written: Array) -> None:
        """Applies controls (B, m)."""
        u = tuple(written[:, i] for i in range(self._m))
        with np.errstate(over="ignore", invalid="ignore"):
            after = self._measures.step(self._sums, u, self.steps)
            if not (after.distance <= DIVERGED).all():  # NaN fails too
                after = self._measures.step(self._sums, u, self.steps, hold=True)
        self._sums, self.steps = after, self.steps + 1

    def metrics(self) -> Metrics:
        """The metrics of the trajectories so far, as `control_envs.rewards.metrics.measure` gives them."""
        return self._measures.metrics(self._sums, self.steps)

    def total(self, reward_version: str = DEFAULT_VERSION) -> Array:
        """The score of the trajectories so far, shape (B,)."""
        return score(self.metrics(), reward_version).total


class CompiledTrajectories:
    """`RunningTrajectories` with compiled loops (numba); compiling takes about a second for each plant.

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
        """The current states, (B, n)."""
        return self._sums[self._states, self._here].T.copy()

    def step(self, written: Array) -> None:
        """Applies controls (B, m)."""
        self._written[:, self._here] = written.T
        self._loops.step(self._sums, self._written, self.steps, out=self._sums)
        self.steps += 1

    def metrics(self) -> Metrics:
        """The metrics of the trajectories so far, as `control_envs.rewards.metrics.measure` gives them."""
        metrics = Metrics(*self._loops.metrics(self._sums, self.steps)[:, self._here])
        return replace(metrics, success=metrics.success != 0)

    def total(self, reward_version: str = DEFAULT_VERSION) -> Array:
        """The score of the trajectories so far, shape (B,)."""
        return self._loops.total(reward_version)(self._sums, self.steps)[0, self._here]


class _Loops:
    """The compiled functions of `StepMeasures` for one plant."""

    def __init__(self, system: System):
        measures = self.measures = StepMeasures(system)
        template = measures.start((np.zeros(1),) * system.n)
        self.step = fused(partial(measures.step, hold=True), template, template.v, 0)
        self.metrics = fused(lambda *sums: tuple(vars(measures.metrics(*sums)).values()), template, 0)
        self._template, self._totals = template, dict[str, Callable[..., Array]]()

    def total(self, version: str) -> Callable[..., Array]:
        """The compiled score under one reward version."""
        if version not in self._totals:
            self._totals[version] = fused(
                lambda *sums: score(self.measures.metrics(*sums), version).total, self._template, 0
            )
        return self._totals[version]


_loops = lru_cache(maxsize=64)(_Loops)
