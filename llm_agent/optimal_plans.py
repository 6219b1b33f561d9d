"""Demonstrations from the constrained optimum: the cheapest plan that keeps the bounds, followed by local feedback.

The plan is J*'s (`baselines.ocp`), solved as MPC solves it: a QP for linear plants, SQP from LQR's rollout for others,
which is a local optimum. It is followed with LQR's gains about its states, so that rounding, and errors added on
purpose, are answered without solving again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from baselines.lqr import fly_feedback, lqr
from baselines.ocp import OptimalControlProblem, is_linear
from control_envs import System, measure, simulate
from control_envs.systems.base import Array

# The optimum rides on the bounds, where rounding its controls breaks them: it is planned in a box of states smaller by
# this share on each side, or in the whole box where no plan starts in the smaller.
MARGIN = 0.01


@dataclass(frozen=True, eq=False)
class OptimalPlans:
    """Plans that keep all bounds.

    Attributes:
        x: states, (count, N + 1, n).
        u: controls, (count, N, m).
        gains: LQR's, (m, n).
    """

    x: Array
    u: Array
    gains: Array

    def __call__(self, k: int, x: Array) -> Array:
        """The controls (count, m) at step k in the states (count, n)."""
        return self.u[:, k] - (x - self.x[:, k]) @ self.gains.T


def optimal_plans(system: System, x0: Array) -> tuple[OptimalPlans, np.ndarray]:
    """The plans from initial states (count, n), and from which of them there is one, (count,)."""
    gains = lqr(system)[0]
    x, u = np.empty((len(x0), system.horizon + 1, system.n)), np.empty((len(x0), system.horizon, system.m))
    kept = np.zeros(len(x0), dtype=bool)
    for plant in (_with_margin(system), system):
        left = np.flatnonzero(~kept)
        u[left] = _solve(plant, x0[left], gains)
        plans = simulate(system, x0[left], np.nan_to_num(u[left]))
        x[left], kept[left] = plans.x, np.isfinite(u[left]).all(axis=(1, 2)) & (measure(plans).violations == 0)
    return OptimalPlans(x[kept], u[kept], gains), kept


def _with_margin(system: System) -> System:
    """The plant in a box of states that is smaller all around."""
    margin = MARGIN * np.diff(system.x_bounds) * [[1.0, -1.0]]
    box = system.x_bounds + margin
    starts = np.clip(system.x0_bounds, box[:, :1], box[:, 1:])
    return system.replace(x_bounds=box, x0_bounds=starts)


def _solve(system: System, x0: Array, gains: Array) -> Array:
    """Controls (count, N, m); NaN where there is no plan."""
    problem = OptimalControlProblem(system, solver="hpipm" if is_linear(system) else "sqpmethod")
    start = fly_feedback(system, x0, gains)
    found = [problem.solve(x, (states, controls)) for x, states, controls in zip(x0, start.x, start.u, strict=True)]
    controls = [s.u if s.solved else np.full_like(s.u, np.nan) for s in found]
    return system.saturate(np.array(controls).reshape(-1, system.horizon, system.m))
