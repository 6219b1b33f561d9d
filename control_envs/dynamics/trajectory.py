"""Trajectories: what a plant does under a sequence of controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from control_envs.systems.base import DIVERGED, System
from control_envs.utils.types import Array


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One trajectory, or a batch of them: leading axes are batch axes of any shape.

    Attributes:
        system: the plant that flew.
        x: states, shape (..., N+1, n); x[..., 0, :] is the initial state.
        u: controls as the plant felt them (saturated), shape (..., N, m).
        u_written: controls as they were commanded, shape (..., N, m).
    """

    system: System
    x: Array
    u: Array
    u_written: Array

    @property
    def horizon(self) -> int:
        """Number of controls, N."""
        return self.u.shape[-2]

    @property
    def t(self) -> Array:
        """Times of the N+1 states in seconds, shape (N+1,)."""
        return np.arange(self.horizon + 1, dtype=np.float64) * self.system.dt

    def __getitem__(self, index) -> Trajectory:
        """A selection along the batch axes."""
        return Trajectory(self.system, self.x[index], self.u[index], self.u_written[index])

    def __eq__(self, other: object) -> bool:
        """The same plant flew the same controls through the same states, bit for bit."""
        return (
            isinstance(other, Trajectory)
            and self.system.to_dict() == other.system.to_dict()
            and np.array_equal(self.x, other.x)
            and np.array_equal(self.u_written, other.u_written)
        )


def simulate(system: System, x0: ArrayLike, controls: ArrayLike, disturbance: ArrayLike | None = None) -> Trajectory:
    """Flies a plan: RK4 with zero-order hold, saturated controls, states never clamped to their box.

    A state that overflows (`DIVERGED` times its bound) is held there, so that all results are finite.

    Args:
        system: the plant.
        x0: initial states, shape (..., n).
        controls: commanded controls, shape (..., N, m); batch axes broadcast against those of x0.
        disturbance: added to the state after each step (process noise), broadcast to (..., N, n); none by default.

    Raises:
        ValueError: the last axes are not (n,), (N, m) and (N, n), a value is not finite, or x0 has diverged.
    """
    x0, written = np.asarray(x0, dtype=np.float64), np.asarray(controls, dtype=np.float64)
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
    # Time first and components next, so that every component of a step is one contiguous block.
    xs = np.empty((N + 1, system.n, *batch))
    us = np.ascontiguousarray(np.moveaxis(u, (-2, -1), (0, 1)))
    xs[0] = np.moveaxis(np.broadcast_to(x0, (*batch, system.n)), -1, 0)
    pushes = None if disturbance is None else _pushes(disturbance, (*batch, N, system.n))
    limit = DIVERGED * system.x_scale.reshape(-1, *([1] * len(batch)))
    with np.errstate(over="ignore", invalid="ignore"):
        _step_through(system, xs, us, pushes, None)
        if not np.all(np.abs(xs) <= limit):  # a NaN is no smaller; holding the limit at every step costs time
            _step_through(system, xs, us, pushes, limit)
    # Contiguous rows, so that sums over time add up in one order, whatever the batch.
    return Trajectory(system, np.ascontiguousarray(np.moveaxis(xs, (0, 1), (-2, -1))), u, written)


def _step_through(system: System, xs: Array, us: Array, pushes: Array | None, limit: Array | None) -> None:
    """Fills states xs[1:] (N, n, ...) from xs[0], held within ``limit`` if there is one."""
    for k, u in enumerate(us):
        for i, component in enumerate(system.advance(xs[k], u)):
            xs[k + 1, i] = component
        if pushes is not None:
            xs[k + 1] += pushes[k]
        if limit is not None:
            xs[k + 1] = held(xs[k + 1], limit)


def held(x: Array, limit: Array | float) -> Array:
    """States with what has diverged held at its limit; a NaN has."""
    return np.where(np.abs(x) <= limit, x, np.where(x < 0, -limit, limit))


def _pushes(disturbance: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The disturbance with time first and components next, shape (N, n, ...)."""
    array = np.asarray(disturbance, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError("disturbance must be finite numbers")
    try:
        return np.moveaxis(np.broadcast_to(array, shape), (-2, -1), (0, 1))
    except ValueError:
        raise ValueError(f"disturbance has shape {array.shape}, but this trajectory needs {shape}") from None
