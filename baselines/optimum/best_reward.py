"""The best reward of a plan from an initial state, so that rewards can be given as shares of it.

The score of a feasible plan depends on five metrics: mean distance, final error, cost J, effort and roughness. For a
linear plant, each is a convex function of the plan, and the reward terms are convex and decreasing in them. The tangent
of the reward at the current plan is therefore a lower bound, and the best plan under the tangent scores at least as
much as the current one: minorise-maximise (Hunter & Lange, "A tutorial on MM algorithms", 2004), with two or three NLPs
from each start. Tangents are finite differences of the reward, so that no version's formula is repeated here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.controllers.ocp import MAX_ITERATIONS, dynamics, scaled_bounds
from baselines.optimum.cache import cached
from baselines.optimum.solver import Optimum, solve_all
from control_envs import System, measure, score, simulate
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rewards import DEFAULT_VERSION
from control_envs.rewards.metrics import Metrics
from control_envs.systems.base import TERMINAL_WEIGHT
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["MEASURES", "best_rewards", "falling_slopes"]

MEASURES = ("mean_distance", "final_error", "cost", "effort", "roughness")
METHOD = "mm 1"  # part of the cache key; change it when the computation changes
# The solver uses the smooth distance sqrt(d^2 + SMOOTHING^2), which changes rewards of version 1.3 by less than 0.003.
SMOOTHING = 1e-3
MIN_IMPROVEMENT = 1e-4  # iterations end when the reward improves by less
MAX_ROUNDS = 20
GAIN_FACTOR = 0.6  # the second start is state feedback with LQR gains times this factor


def best_rewards(
    system: System,
    x0: Array,
    version: str = DEFAULT_VERSION,
    cache: bool = True,
    progress: Callable[[int], Any] | None = None,
    optima: Optimum | None = None,
) -> Array:
    """The best reward found for feasible plans from initial states (S, n), shape (S,); NaN without a feasible plan.

    A lower bound on the best possible reward, since only two starts are tried and the plant may be nonlinear.

    Args:
        system: the plant.
        x0: initial states, shape (S, n).
        version: the reward version.
        cache: read and write `baselines.optimum.cache.cache_dir`.
        progress: called with the number of initial states solved since the last call.
        optima: the optima from these initial states, used as starts; solved for if not given.
    """

    def compute() -> dict[str, Array]:
        starts = optima or solve_all(system, x0, cache)
        maximise, rewards = _RewardMaximiser(system, version), np.full(len(x0), np.nan)
        for i in range(len(x0)):
            if starts.status[i] == "optimal":
                rewards[i] = maximise(x0[i], starts.controls[i])
            if progress:
                progress(1)
        return {"reward": rewards}

    return cached(f"best-reward-{version}", METHOD, system, x0, cache, compute)["reward"]


class _RewardMaximiser:
    """Finds the best reward from any initial state of one plant."""

    def __init__(self, system: System, version: str):
        self.system, self.version = system, version
        self._gains = lqr(system)[0]
        self._problem = _WeightedMeasures(system)

    def __call__(self, x0: Array, optimal: Array) -> float:
        starts = simulate(self.system, x0, optimal), simulate_feedback(self.system, x0, GAIN_FACTOR * self._gains)
        return max(self._from(x0, start) for start in starts)

    def _from(self, x0: Array, trajectory: Trajectory) -> float:
        metrics = measure(trajectory)
        best = self._reward(metrics)
        for _ in range(MAX_ROUNDS):
            controls = self._problem.solve(x0, falling_slopes(metrics, self.version), trajectory)
            trajectory = simulate(self.system, x0, self.system.saturate(controls))
            metrics = measure(trajectory)
            reward = self._reward(metrics)
            if metrics.violations or reward < best + MIN_IMPROVEMENT:
                break
            best = reward
        return best

    def _reward(self, metrics: Metrics) -> float:
        """The reward of a feasible trajectory; minus infinity for any other."""
        return -np.inf if metrics.violations else float(score(metrics, self.version).total)


def falling_slopes(metrics: Metrics, version: str) -> Array:
    """The decrease of the reward with each of `MEASURES` at one trajectory, shape (5,), by central differences."""

    def total(name: str, value: float) -> float:
        return float(score(dataclasses.replace(metrics, **{name: np.asarray(value)}), version).total)

    slopes = []
    for name in MEASURES:
        value = float(getattr(metrics, name))
        high, low = value + 1e-6 * max(1.0, value), max(0.0, value - 1e-6 * max(1.0, value))
        slopes.append((total(name, low) - total(name, high)) / (high - low))
    return np.maximum(np.array(slopes), 1e-9)  # positive, so that every metric has a weight in the solver


class _WeightedMeasures:
    """min of a weighted sum of `MEASURES` over feasible plans; absolute values as epigraphs."""

    def __init__(self, system: System):
        ca = need("casadi", "baselines")
        self.system = system
        N, n, m = system.horizon, system.n, system.m
        step, start, weights = dynamics(system), ca.MX.sym("start", n), ca.MX.sym("weights", len(MEASURES))
        X, U = ca.MX.sym("X", n, N + 1), ca.MX.sym("U", m, N)
        size, change = ca.MX.sym("size", m, N), ca.MX.sym("change", m, max(N - 1, 1))  # bound |u| and |u_k - u_{k-1}|
        distance = ca.sqrt(ca.sum1(X**2) + SMOOTHING**2)
        cost = (
            ca.sum2(ca.sum1(X[:, :N] * (system.Q @ X[:, :N])))
            + ca.sum2(ca.sum1(U * (system.R @ U)))
            + TERMINAL_WEIGHT * ca.bilin(system.Q, X[:, N], X[:, N])
        )
        measures = [ca.sum2(distance) / (N + 1), distance[N], cost]
        measures += [ca.sum2(ca.sum1(v)) / v.numel() for v in (size, change)]
        gaps = ca.horzcat(X[:, 0] - start, X[:, 1:] - step.map(N)(X[:, :N], U))
        jumps = U[:, 1:] - U[:, :-1]
        margins = [size - U, size + U] + ([change - jumps, change + jumps] if N > 1 else [])
        constraints = ca.veccat(gaps, *margins)
        self._upper = np.where(np.arange(constraints.numel()) < gaps.numel(), 0.0, np.inf)
        free = np.full((n, 2), [-np.inf, np.inf])
        x_box, u_box = scaled_bounds(system)
        nonnegative = np.full((size.numel() + change.numel(), 2), [0.0, np.inf])
        self._box = np.concatenate([free, np.tile(x_box, (N, 1)), np.tile(u_box, (N, 1)), nonnegative])
        problem = {
            "x": ca.veccat(X, U, size, change),
            "f": ca.dot(weights, ca.vertcat(*measures)),
            "g": constraints,
            "p": ca.vertcat(start, weights),
        }
        options = {"print_level": 0, "sb": "yes", "max_iter": MAX_ITERATIONS}
        self._solve = ca.nlpsol("best", "ipopt", problem, {"print_time": False, "expand": True, "ipopt": options})

    def solve(self, x0: Array, weights: Array, guess: Trajectory) -> Array:
        """The best controls (N, m); if the solver fails, its last iterate, which the caller scores like any plan."""
        system, N = self.system, self.system.horizon
        x, u = guess.x / system.x_scale, guess.u / system.u_scale
        jumps = np.abs(np.diff(u, axis=0)) if N > 1 else np.zeros((1, system.m))
        found = self._solve(
            x0=np.concatenate([x.ravel(), u.ravel(), np.abs(u).ravel() + 0.01, jumps.ravel() + 0.01]),
            p=np.concatenate([np.asarray(x0) / system.x_scale, weights]),
            lbx=self._box[:, 0],
            ubx=self._box[:, 1],
            lbg=0.0,
            ubg=self._upper,
        )
        first = (N + 1) * system.n
        controls = np.asarray(found["x"]).ravel()[first : first + N * system.m].reshape(N, system.m)
        return np.nan_to_num(controls) * system.u_scale
