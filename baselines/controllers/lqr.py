"""The linear-quadratic regulator, designed for the RK4 discretisation of the environments."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.dynamics.riccati import physical_problem
from control_envs.dynamics.trajectory import Trajectory, simulate
from control_envs.systems import System
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["lqr", "simulate_feedback"]


def lqr(system: System) -> tuple[Array, Array]:
    """The discrete-time infinite-horizon gains and the Riccati solution at the origin.

    Solves P = A'PA - A'PB (R + B'PB)^-1 B'PA + Q with A, B from the plant's RK4 step and the weights Q, R of
    the cost J, converted from scaled units (states by their bound, controls by a third of theirs).

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
    """Simulates the state feedback u = -K x, saturated.

    Args:
        system: the plant.
        x0: initial states, shape (..., n).
        K: gains (m, n), or (..., m, n) for different gains from each initial state.
        decimals: round each control to this many decimals before it is applied, as in a text plan; None for full
            precision.
        horizon: number of steps; the plant's horizon by default.
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
