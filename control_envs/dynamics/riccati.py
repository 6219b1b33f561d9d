"""The least cost of the linearised plant without bounds: a reference for each initial state that needs no solver."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from control_envs.systems import TERMINAL_WEIGHT, System, get_system
from control_envs.utils.types import Array

__all__ = ["cost_matrix", "finite_horizon_lqr", "physical_problem"]

_cost_matrices: WeakKeyDictionary[System, Array] = WeakKeyDictionary()


def physical_problem(system: System) -> tuple[Array, Array, Array, Array]:
    """A (n, n), B (n, m) of one step about the origin, and Q (n, n), R (m, m) for physical states and controls."""
    A, B = system.linearise()
    Q = system.Q / np.outer(system.x_scale, system.x_scale)
    R = system.R / np.outer(system.u_scale, system.u_scale)
    return A, B, Q, R


def finite_horizon_lqr(system: System, horizon: int | None = None) -> tuple[Array, Array]:
    """The time-varying gains that minimise J of the linearised plant, terminal weight 5 Q included.

    Riccati recursion backwards from P_N = 5 Q (Anderson & Moore, "Optimal Control: Linear Quadratic Methods", 1990,
    ch. 2). Optimal for a linear plant wherever no bound is active.

    Returns:
        K (N, m, n) such that u_k = -K_k x_k, and P (n, n) such that x_0'P x_0 is the cost from x_0; physical units.
    """
    system = get_system(system)
    A, B, Q, R = physical_problem(system)
    P, gains = TERMINAL_WEIGHT * Q, []
    for _ in range(horizon or system.horizon):
        K = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = Q + A.T @ P @ (A - B @ K)
        P = (P + P.T) / 2
        gains.append(K)
    return np.stack(gains[::-1]), P


def cost_matrix(system: System) -> Array:
    """P (n, n) such that z'P z is the least cost of the linearised plant from scaled state z; cached per plant."""
    if system not in _cost_matrices:
        _cost_matrices[system] = finite_horizon_lqr(system)[1] * np.outer(system.x_scale, system.x_scale)
    return _cost_matrices[system]
