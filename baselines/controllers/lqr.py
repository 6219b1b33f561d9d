"""The linear-quadratic regulator, designed for the very discretisation that the environments run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.dynamics.riccati import physical_problem
from control_envs.dynamics.trajectory import Trajectory, simulate
from control_envs.systems import System
from control_envs.utils.optional import need
from control_envs.utils.types import Array


def lqr(system: System) -> tuple[Array, Array]:
    """The discrete-time infinite-horizon gain and Riccati solution at the origin.

    Solves P = A'PA - A'PB (R + B'PB)^-1 B'PA + Q with A, B from the plant's own RK4 step and Q, R in the scaled
    units of the cost J (states by their bound, controls by a third of theirs).

    Returns:
        K (m, n) such that u = -K x in physical units, and P (n, n) such that x'P x is the unconstrained
        infinite-horizon cost in physical states.
    """
    solve_discrete_are = need("scipy.linalg", "baselines").solve_discrete_are
    A, B, Q, R = physical_problem(system)
    P = solve_discrete_are(A, B, Q, R)
    return np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A), P


def simulate_feedback(
    system: System,
    x0: ArrayLike,
    K: ArrayLike,
    decimals: int | None = None,
    horizon: int | None = None,
) -> Trajectory:
    """Flies u = -K x, saturated, from x0 (..., n).

    Args:
        K: gains (m, n), or (..., m, n) with one law for each initial state.
        decimals: round each control to this many decimals before it is applied, as a text plan would;
            None for full precision.
        horizon: number of steps; the plant's own by default.
    """
    x0, K = np.asarray(x0, dtype=np.float64), np.asarray(K, dtype=np.float64)
    x, controls = x0, []
    for _ in range(horizon or system.horizon):
        u = system.saturate(-np.einsum("...ij,...j->...i", K, x))
        if decimals is not None:
            u = np.round(u, decimals)
        controls.append(u)
        x = system.step(x, u)
    return simulate(system, x0, np.stack(controls, axis=-2))
