"""Functions that draw trajectories, bounds and vector fields. Needs the ``plots`` extra (matplotlib)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from control_envs.dynamics.trajectory import Trajectory
from control_envs.systems.base import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "LINES", "TARGET", "axis_label", "draw_bounds", "draw_box", "draw_phase", "draw_vector_field"]

# The colour-blind-safe palette of Okabe & Ito; line styles differ too.
COLOURS = ("#009E73", "#E69F00", "#0072B2", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
LINES = ("-", "--", "-.", ":")
TARGET = COLOURS[0]


def draw_vector_field(axes: Axes, system: System, points: int = 25) -> None:
    """Stream lines of the uncontrolled plant inside its bounds, in the plane of the first two states."""
    (x_low, x_high), (y_low, y_high) = system.x_bounds[:2]
    x, y = np.meshgrid(np.linspace(x_low, x_high, points), np.linspace(y_low, y_high, points))
    others = [np.zeros_like(x)] * (system.n - 2)
    dx, dy = system.derivative((x, y, *others), [np.zeros_like(x)] * system.m)[:2]
    axes.streamplot(x, y, np.broadcast_to(dx, x.shape), np.broadcast_to(dy, x.shape), color="0.85", linewidth=0.7)


def draw_phase(axes: Axes, trajectory: Trajectory, color: str, label: str | None = None) -> None:
    """Trajectories in the plane of the first two states: a dot at the start, a line to the end."""
    system = trajectory.system
    states = trajectory.x.reshape(-1, trajectory.horizon + 1, system.n)
    for i, x in enumerate(states):
        axes.plot(x[:, 0], x[:, 1], color=color, linewidth=1.3, label=label if i == 0 else None)
        axes.plot(*x[0, :2], "o", color=color, markersize=4)
    axes.set(xlim=1.15 * system.x_bounds[0], ylim=1.15 * system.x_bounds[1])
    axes.set_xlabel(axis_label(system, 0))
    axes.set_ylabel(axis_label(system, 1))


def draw_box(axes: Axes, system: System) -> None:
    """The bounds of the first two states, and the origin."""
    (x_low, x_high), (y_low, y_high) = system.x_bounds[:2]
    axes.plot([x_low, x_high, x_high, x_low, x_low], [y_low, y_low, y_high, y_high, y_low], "k--", linewidth=0.8)
    axes.plot(0, 0, "+", color=TARGET, markersize=10, markeredgewidth=2)


def draw_bounds(axes: Axes, low: float, high: float) -> None:
    """The bounds of a quantity over time, and the zero line."""
    for bound in (low, high):
        axes.axhline(bound, color="k", linestyle="--", linewidth=0.8)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)


def axis_label(system: System, i: int) -> str:
    """A state's name and unit."""
    unit = system.state_units[i]
    return f"{system.state_names[i]} [{unit}]" if unit else system.state_names[i]
