"""Trajectories of a plant under a sequence of controls, and their simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from control_envs.systems import DIVERGED, System, get_system
from control_envs.systems.checks import checked_numbers
from control_envs.utils.types import Array

__all__ = ["Trajectory", "held", "simulate"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One trajectory, or a batch of them: leading axes are batch axes of any shape.

    Attributes:
        system: the plant.
        x: states, shape (..., N+1, n); x[..., 0, :] is the initial state.
        u: controls as applied (saturated), shape (..., N, m).
        u_written: controls as commanded (before saturation), shape (..., N, m).
    """

    system: System
    x: Array
    u: Array
    u_written: Array

    @property
    def horizon(self) -> int:
        """Number of controls, N."""
        return int(self.u.shape[-2])

    @property
    def t(self) -> Array:
        """Times of the N+1 states in seconds, shape (N+1,)."""
        return np.arange(self.horizon + 1, dtype=np.float64) * self.system.dt

    def __getitem__(self, index: Any) -> Trajectory:
        """A selection along the batch axes."""
        return Trajectory(self.system, self.x[index], self.u[index], self.u_written[index])

    def __eq__(self, other: object) -> bool:
        """Whether plant, states and commanded controls are the same, bit for bit."""
        return (
            isinstance(other, Trajectory)
            and self.system.to_dict() == other.system.to_dict()
            and np.array_equal(self.x, other.x)
            and np.array_equal(self.u_written, other.u_written)
        )


def simulate(system: System, x0: ArrayLike, controls: ArrayLike, disturbance: ArrayLike | None = None) -> Trajectory:
    """Simulates a plan by RK4 with zero-order hold.

    Controls are saturated; states are not clamped to their bounds. A state that diverges beyond `DIVERGED` times its
    bound is held at that limit, so that all results are finite.

    Args:
        system: the plant.
        x0: initial states, shape (..., n).
        controls: commanded controls, shape (..., N, m); batch axes broadcast against those of x0.
        disturbance: process noise, added to the state after each step, broadcast to (..., N, n); none by default.

    Raises:
        ValueError: the last axes are not (n,), (N, m) and (N, n), a value is not finite, or x0 has diverged.
    """
    system = get_system(system)
    x0, written = checked_numbers("x0", x0), checked_numbers("controls", controls)
    if x0.ndim < 1 or x0.shape[-1] != system.n:
        raise ValueError(f"x0 has shape {x0.shape}, but {system.name} needs (..., {system.n})")
    if written.ndim < 2 or written.shape[-1] != system.m:
        raise ValueError(f"controls have shape {written.shape}, but {system.name} needs (..., N, {system.m})")
    if not (np.all(np.isfinite(x0)) and np.all(np.isfinite(written))):
        raise ValueError("x0 and controls must be finite numbers")
    if np.any(np.abs(x0) > DIVERGED * system.x_scale):
        raise ValueError(f"x0 must lie within {DIVERGED:g} times the bounds of {system.name}")
    batch = np.broadcast_shapes(x0.shape[:-1], written.shape[:-2])
    N = written.shape[-2]
    written = np.broadcast_to(written, (*batch, N, system.m))
    u = system.saturate(written)
    # Time first, components second: each component of a step is one contiguous block.
    xs = np.empty((N + 1, system.n, *batch))
    us = np.ascontiguousarray(np.moveaxis(u, (-2, -1), (0, 1)))
    xs[0] = np.moveaxis(np.broadcast_to(x0, (*batch, system.n)), -1, 0)
    disturbances = None if disturbance is None else _time_first(disturbance, (*batch, N, system.n))
    limit = DIVERGED * system.x_scale.reshape(-1, *([1] * len(batch)))
    with np.errstate(over="ignore", invalid="ignore"):
        _step_through(system, xs, us, disturbances, None)
        if not np.all(np.abs(xs) <= limit):  # NaN fails too; limiting every step would cost time
            _step_through(system, xs, us, disturbances, limit)
    # Contiguous rows: sums over time then add in the same order for every batch shape.
    return Trajectory(system, np.ascontiguousarray(np.moveaxis(xs, (0, 1), (-2, -1))), u, written)


def _step_through(system: System, xs: Array, us: Array, disturbances: Array | None, limit: Array | None) -> None:
    """Fills the states xs[1:] (N, n, ...) from xs[0]; a state beyond ``limit`` is held there."""
    for k, u in enumerate(us):
        for i, component in enumerate(system.advance(xs[k], u)):
            xs[k + 1, i] = component
        if disturbances is not None:
            xs[k + 1] += disturbances[k]
        if limit is not None:
            xs[k + 1] = held(xs[k + 1], limit)


def held(x: Array, limit: Array | float) -> Array:
    """States with every component beyond its limit, NaN included, set to the limit."""
    return np.where(np.abs(x) <= limit, x, np.where(x < 0, -limit, limit))


def _time_first(disturbance: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The disturbance with time first and components second, shape (N, n, ...)."""
    array = checked_numbers("disturbance", disturbance)
    if not np.all(np.isfinite(array)):
        raise ValueError("disturbance must be finite numbers")
    try:
        return np.moveaxis(np.broadcast_to(array, shape), (-2, -1), (0, 1))
    except ValueError:
        raise ValueError(f"disturbance has shape {array.shape}, but must broadcast to {shape}") from None
