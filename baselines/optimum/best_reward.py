"""The best reward that a plan can earn from a state, so that a reward can be read as a share of what is possible.

A plan that keeps the bounds is scored on five measures alone: mean distance, final error, cost J, effort and
roughness. Each is a convex function of a linear plant's plan, and a reward's terms in them are convex and falling.
So the reward's tangent at the plan so far bounds it from below, and the best plan under the tangent scores at least as
much: minorise-maximise (Hunter & Lange, "A tutorial on MM algorithms", 2004), two or three NLPs from each start.
Tangents are differences of the reward itself, so that no formula of any version is written here again.
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

MEASURES = ("mean_distance", "final_error", "cost", "effort", "roughness")
METHOD = "mm 1"
# Distances are smoothed to sqrt(d^2 + SMOOTH^2) for the solver, which costs less than 0.003 of version 1.3's reward.
SMOOTH = 1e-3
ENOUGH = 1e-4  # a round that gains less is the last
ROUNDS = 20
GENTLE = 0.6  # share of LQR's gains that the second start flies with


def best_rewards(
    system: System,
    x0: Array,
    version: str = DEFAULT_VERSION,
    cache: bool = True,
    progress: Callable[[int], Any] | None = None,
    optima: Optimum | None = None,
) -> Array:
    """The best reward found from initial states (S, n) with a plan that keeps the bounds, shape (S,).

    A lower bound on the best there is, since starts are few (two) and a plant need not be linear. NaN where no plan
    keeps the bounds.

    Args:
        cache: read and write `baselines.optimum.cache.cache_dir`.
        progress: called with the number of states solved since the last call.
        optima: the optima from these states, where the climb starts; solved for if they are not given.
    """

    def compute() -> dict[str, Array]:
        starts = optima or solve_all(system, x0, cache)
        climb, found = _Climb(system, version), np.full(len(x0), np.nan)
        for i in range(len(x0)):
            if starts.status[i] == "optimal":
                found[i] = climb(x0[i], starts.controls[i])
            if progress:
                progress(1)
        return {"reward": found}

    return cached(f"best-reward-{version}", METHOD, system, x0, cache, compute)["reward"]


class _Climb:
    """The best reward from any state of one plant."""

    def __init__(self, system: System, version: str):
        self.system, self.version = system, version
        self._gain = lqr(system)[0]
        self._problem = _WeightedMeasures(system)

    def __call__(self, x0: Array, optimal: Array) -> float:
        starts = simulate(self.system, x0, optimal), simulate_feedback(self.system, x0, GENTLE * self._gain)
        return max(self._from(x0, start) for start in starts)

    def _from(self, x0: Array, trajectory: Trajectory) -> float:
        metrics = measure(trajectory)
        best = self._worth(metrics)
        for _ in range(ROUNDS):
            controls = self._problem.solve(x0, falling_slopes(metrics, self.version), trajectory)
            trajectory = simulate(self.system, x0, self.system.saturate(controls))
            metrics = measure(trajectory)
            reward = self._worth(metrics)
            if metrics.violations or reward < best + ENOUGH:
                break
            best = reward
        return best

    def _worth(self, metrics: Metrics) -> float:
        """The reward of a trajectory that keeps the bounds; minus infinity for one that does not."""
        return -np.inf if metrics.violations else float(score(metrics, self.version).total)


def falling_slopes(metrics: Metrics, version: str) -> Array:
    """How much the reward falls with each of `MEASURES` at one trajectory, shape (5,), by central differences."""

    def total(name: str, value: float) -> float:
        return float(score(dataclasses.replace(metrics, **{name: np.asarray(value)}), version).total)

    slopes = []
    for name in MEASURES:
        value = float(getattr(metrics, name))
        high, low = value + 1e-6 * max(1.0, value), max(0.0, value - 1e-6 * max(1.0, value))
        slopes.append((total(name, low) - total(name, high)) / (high - low))
    return np.maximum(np.array(slopes), 1e-9)  # never quite 0: the solver wants every measure to matter


class _WeightedMeasures:
    """min of a weighted sum of `MEASURES` over the plans that keep the bounds; absolute values by epigraphs."""

    def __init__(self, system: System):
        ca = need("casadi", "baselines")
        self.system = system
        N, n, m = system.horizon, system.n, system.m
        step, start, weights = dynamics(system), ca.MX.sym("start", n), ca.MX.sym("weights", len(MEASURES))
        X, U = ca.MX.sym("X", n, N + 1), ca.MX.sym("U", m, N)
        size, change = ca.MX.sym("size", m, N), ca.MX.sym("change", m, max(N - 1, 1))  # bound |u| and |u_k - u_{k-1}|
        distance = ca.sqrt(ca.sum1(X**2) + SMOOTH**2)
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
        beyond = np.full((size.numel() + change.numel(), 2), [0.0, np.inf])
        self._box = np.concatenate([free, np.tile(x_box, (N, 1)), np.tile(u_box, (N, 1)), beyond])
        problem = {
            "x": ca.veccat(X, U, size, change),
            "f": ca.dot(weights, ca.vertcat(*measures)),
            "g": constraints,
            "p": ca.vertcat(start, weights),
        }
        quiet = {"print_level": 0, "sb": "yes", "max_iter": MAX_ITERATIONS}
        self._solve = ca.nlpsol("best", "ipopt", problem, {"print_time": False, "expand": True, "ipopt": quiet})

    def solve(self, x0: Array, weights: Array, guess: Trajectory) -> Array:
        """The best controls (N, m); if the solver gives up, its last ones, which are worth what they score."""
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
