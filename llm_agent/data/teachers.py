"""The controllers that demonstrations follow: state feedback with given gains, or the constrained optimum.

A teacher is made for a batch of initial states, one trajectory each. It gives the control at any state, and it can be
restarted: exploration (`llm_agent.data.rollout`) leads a trajectory elsewhere, from where the teacher goes on.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.controllers.ocp import OptimalControlProblem, is_linear
from control_envs import System, measure, simulate
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.reasoning import GAIN_DECIMALS

__all__ = ["GAIN_RANGE", "MARGIN", "GainTeacher", "OptimalTeacher", "Teacher", "with_margin"]

# Gains of `varied` demonstrations are drawn uniformly between these multiples of LQR's.
GAIN_RANGE = (0.2, 1.6)
# The optimum touches the bounds, and rounded controls would violate them. Plans therefore keep this share of the box's
# width from each side, except from states where no such plan exists.
MARGIN = 0.01
_TRIES = 8  # draws of `varied` gains for each initial state
_CONTROL_WEIGHTS = tuple(10.0**p for p in (-2, -1, 1, 2, 3))  # factors on R


class Teacher(Protocol):
    """Controls for a batch of trajectories.

    Attributes:
        feasible: whether the teacher keeps all bounds from each initial state, (count,). Its trajectories are those
            from the feasible ones, in order.
    """

    feasible: np.ndarray

    @property
    def K(self) -> Array | None:
        """The gains that the demonstration of each trajectory states, (trajectories, m, n); None for none."""
        ...

    def __call__(self, k: int, x: Array) -> Array:
        """The controls (trajectories, m) at step k in the states (trajectories, n), before saturation."""
        ...

    def restart(self, rows: np.ndarray, k: int, x: Array) -> np.ndarray:
        """Goes on from the states x (rows, n) at step k, where it can keep all bounds; returns where, (rows,)."""
        ...


class GainTeacher:
    """State feedback u = -K x.

    Args:
        system: the plant.
        x0: initial states, (count, n).
        gain_range: multiples of LQR's gains to draw from, redrawn a few times while they violate a bound; None for
            LQR's own. Where these are infeasible, the LQR gains of the cheapest feasible trajectory among several
            control weights.
        rounded: round the gains as they are stated, so that controls follow from what is written.
        seed: the seed of the gains.
    """

    def __init__(
        self, system: System, x0: Array, gain_range: tuple[float, float] | None, rounded: bool = False, seed: int = 0
    ):
        self.system = system
        if gain_range is None:
            K = np.broadcast_to(lqr(system)[0], (len(x0), system.m, system.n)).copy()
        else:
            K = _varied_gains(system, x0, gain_range, seed)
        infeasible = ~_is_feasible(system, x0, K)
        K[infeasible] = _fallback_gains(system, x0[infeasible])
        if rounded:
            K = np.round(K, GAIN_DECIMALS)
        self.feasible = _is_feasible(system, x0, K)
        self.K: Array = K[self.feasible]

    def __call__(self, k: int, x: Array) -> Array:
        """See `Teacher`."""
        return -np.einsum("bij,bj->bi", self.K, x)

    def restart(self, rows: np.ndarray, k: int, x: Array) -> np.ndarray:
        """See `Teacher`."""
        return _is_feasible(self.system, x, self.K[rows])


class OptimalTeacher:
    """The cheapest plan that keeps all bounds, with LQR's gains about its states.

    The plan is a QP's solution for linear plants; for others a local optimum of SQP that starts at LQR's trajectory.
    The feedback corrects rounding and errors without another solution.

    Args:
        system: the plant.
        x0: initial states, (count, n).
    """

    def __init__(self, system: System, x0: Array):
        solver = "hpipm" if is_linear(system) else "sqpmethod"
        self.system, self.K = system, None
        self._problems = [OptimalControlProblem(plant, solver=solver) for plant in (with_margin(system), system)]
        self._gains = lqr(system)[0]
        x, u = self._plan(x0)
        self.feasible = _is_whole(u)
        self._x, self._u = x[self.feasible], u[self.feasible]
        self._start = np.zeros(len(self._x), dtype=int)  # the step at which each plan begins

    def __call__(self, k: int, x: Array) -> Array:
        """See `Teacher`."""
        rows, steps = np.arange(len(x)), k - self._start
        return self._u[rows, steps] - (x - self._x[rows, steps]) @ self._gains.T

    def restart(self, rows: np.ndarray, k: int, x: Array) -> np.ndarray:
        """See `Teacher`."""
        states, controls = self._plan(x)
        solved = _is_whole(controls)
        self._x[rows[solved]], self._u[rows[solved]] = states[solved], controls[solved]
        self._start[rows[solved]] = k
        return solved

    def _plan(self, x0: Array) -> tuple[Array, Array]:
        """States (count, N + 1, n) and controls (count, N, m) over the whole horizon; NaN where there is no plan."""
        guesses = simulate_feedback(self.system, x0, self._gains)
        u = np.full(guesses.u.shape, np.nan)
        for problem in self._problems:
            for i in np.flatnonzero(~_is_whole(u)):
                found = problem.solve(x0[i], (guesses.x[i], guesses.u[i]))
                if found.solved:
                    u[i] = self.system.saturate(found.u)
        plans = simulate(self.system, x0, np.nan_to_num(u))
        u[measure(plans).violations > 0] = np.nan
        return plans.x, u


def _is_whole(u: Array) -> np.ndarray:
    return np.asarray(np.isfinite(u).all(axis=(1, 2)))


def with_margin(system: System) -> System:
    """The plant in a box of states that is smaller on each side by `MARGIN` times its width."""
    box = system.x_bounds + MARGIN * np.diff(system.x_bounds) * [[1.0, -1.0]]
    return system.replace(x_bounds=box, x0_bounds=np.clip(system.x0_bounds, box[:, :1], box[:, 1:]))


def _varied_gains(system: System, x0: Array, gain_range: tuple[float, float], seed: int) -> Array:
    """One gain matrix for each initial state, redrawn up to `_TRIES` times while its trajectory violates a bound."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(*gain_range, size=(len(x0), _TRIES, system.m, system.n))
    drawn = np.round(lqr(system)[0] * factors, GAIN_DECIMALS)
    K = drawn[:, 0].copy()
    for i in range(1, _TRIES):
        infeasible = ~_is_feasible(system, x0, K)
        K[infeasible] = drawn[infeasible, i]
    return K


def _fallback_gains(system: System, x0: Array) -> Array:
    """For each initial state the LQR gains of the cheapest feasible trajectory, among several control weights."""
    designs = np.stack([lqr(system.replace(R=system.R * weight))[0] for weight in _CONTROL_WEIGHTS])
    metrics = measure(simulate_feedback(system, x0[:, None], designs[None], DECIMALS))
    cost = np.where(metrics.violations == 0, metrics.cost, np.inf)
    return designs[np.argmin(cost, axis=1)]


def _is_feasible(system: System, x0: Array, K: Array) -> np.ndarray:
    return measure(simulate_feedback(system, x0, K, DECIMALS)).violations == 0
