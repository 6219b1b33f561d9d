"""The linear-quadratic regulator, designed for the RK4 discretisation of the environments."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.dynamics.riccati import physical_problem
from control_envs.dynamics.trajectory import Trajectory, held, simulate
from control_envs.systems import DIVERGED, System, get_system
from control_envs.systems.checks import checked_numbers, checked_states
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

    Raises:
        ValueError: the Riccati equation has no solution, as with weights that do not see an unstable state.
    """
    solve_discrete_are = need("scipy.linalg", "baselines").solve_discrete_are
    system = get_system(system)
    A, B, Q, R = physical_problem(system)
    try:
        P = solve_discrete_are(A, B, Q, R)
    except np.linalg.LinAlgError as error:
        weights = f"Q = {system.Q.tolist()}, R = {system.R.tolist()}"
        raise ValueError(f"there is no LQR for {system.name} with {weights}: {str(error).rstrip('.')}") from None
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

    Raises:
        ValueError: the states or the gains are not finite numbers.
    """
    system = get_system(system)
    x0, K = checked_states("x0", x0, system.state_names, batched=True), checked_numbers("K", K)
    x, controls, limit = x0, [], DIVERGED * system.x_scale
    for _ in range(horizon or system.horizon):
        u = system.saturate(-np.einsum("...ij,...j->...i", K, x))
        if decimals is not None:
            u = np.round(u, decimals)
        controls.append(u)
        with np.errstate(over="ignore", invalid="ignore"):
            x = held(system.step(x, u), limit)  # as in `simulate`
    return simulate(system, x0, np.stack(controls, axis=-2))
