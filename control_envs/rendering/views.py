"""Views of a trajectory in progress: the plant itself, its phase portrait, its states and controls over time.

A view draws its fixed parts once. It then shows a trajectory up to state k by moving its ``artists``, so that a frame
takes milliseconds. Views are derived from the plant: a state that is not the velocity of another state is drawn as a
mass on a track (with a spring, if the plant pulls it back to the origin), or as an arm on a pivot if its unit is "rad".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from control_envs.dynamics.trajectory import Trajectory
from control_envs.rendering.drawing import COLOURS, LINES, TARGET, axis_label, draw_box, draw_vector_field
from control_envs.systems.base import System
from control_envs.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["Arm", "CourseView", "PhaseView", "Track", "View", "plant_views", "velocities"]

MASS, PUSH = COLOURS[2], COLOURS[3]
REACH = 1.35  # the drawn range of a state, in units of its bound; states beyond it are drawn at the edge
_SPRING = np.array([0.0, *np.tile([0.12, -0.12], 6), 0.0])


class View(Protocol):
    """A part of a figure that follows a trajectory."""

    artists: list[Artist]

    def show(self, trajectory: Trajectory, k: int) -> None:
        """Moves the artists to a single trajectory's state k, after its first k controls."""
        ...


# -- the plant -----------------------------------------------------------------------------------------------


def velocities(system: System) -> dict[int, int]:
    """The velocity of each state that has one: i to j where x_i' = x_j (tested at random states)."""
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-1, 1, (system.n, 8)), rng.uniform(-1, 1, (system.m, 8))
    derivatives = system.derivative(tuple(x), tuple(u))
    return {i: j for i, rate in enumerate(derivatives) for j in range(system.n) if np.array_equal(rate, x[j])}


def plant_views(system: System, cell: Any) -> list[View]:
    """The plant in a cell of a figure's grid: one view for each state that is not the velocity of another.

    Args:
        cell: matplotlib's ``SubplotSpec``.
    """
    velocity = velocities(system)
    shown = [i for i in range(system.n) if i not in velocity.values()] or [0]
    B = system.linearise()[1] / system.x_scale[:, None]
    driven_state = [max(shown, key=lambda i: abs(B[i, j])) for j in range(system.m)]
    arms = all(system.state_units[i] == "rad" for i in shown)
    shape = (1, len(shown)) if arms else (len(shown), 1)
    grid, figure = cell.subgridspec(*shape), cell.get_gridspec().figure
    views: list[View] = []
    for place, i in enumerate(shown):
        axes = figure.add_subplot(grid[place])
        pushes = [(j, 1.0 if B[i, j] >= 0 else -1.0) for j in range(system.m) if driven_state[j] == i]
        if system.state_units[i] == "rad":
            views.append(Arm(axes, system, i, pushes))
        else:
            spring = _has_spring(system, i, velocity.get(i))
            views.append(Track(axes, system, i, pushes, spring, size=15 if len(shown) == 1 else 10))
    return views


def _has_spring(system: System, i: int, velocity: int | None) -> bool:
    """Whether the plant, at rest near the origin, accelerates state i towards it."""
    if velocity is None:
        return False
    x = np.zeros((system.n, 2))
    x[i] = (1e-3, -1e-3)
    derivatives = system.derivative(tuple(x), tuple(np.zeros((system.m, 2))))[velocity]
    return bool(derivatives[0] < -1e-6 and derivatives[1] > 1e-6)


class _ControlArrows:
    """The base of `Track` and `Arm`: the last controls applied, as arrows.

    Args:
        axes: where to draw.
        system: the plant.
        i: the state shown.
        pushes: (j, sign) of each control j that acts on it.
    """

    def __init__(self, axes: Axes, system: System, i: int, pushes: list[tuple[int, float]]):
        self.system, self.i, self.pushes = system, i, pushes
        count = max(len(pushes), 1)
        self.arrows = axes.quiver(
            np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count),
            color=PUSH, angles="xy", scale_units="xy", scale=1, units="dots", width=3.5, headwidth=4, headlength=4,
            headaxislength=4, minlength=0, zorder=5,
        )  # fmt: skip

    def _position(self, trajectory: Trajectory, k: int) -> float:
        return float(np.clip(trajectory.x[k, self.i] / self.system.x_scale[self.i], -REACH, REACH))

    def _arrow_lengths(self, trajectory: Trajectory, k: int) -> Array:
        """Each control as a share of its bound, with the sign of its effect; zero before the first control."""
        if k == 0 or not self.pushes:
            return np.zeros(max(len(self.pushes), 1))
        limit = np.abs(self.system.u_bounds).max(axis=1)
        return np.array([sign * trajectory.u[k - 1, j] / limit[j] for j, sign in self.pushes])


class Track(_ControlArrows):
    """A mass on a track between its bounds, with a line at the target."""

    def __init__(
        self, axes: Axes, system: System, i: int, pushes: list[tuple[int, float]], spring: bool = False, size: int = 15
    ):
        axes.set(xlim=(-REACH - 0.15, REACH + 0.15), ylim=(-0.75, 0.95))
        axes.axis("off")
        low, high = system.x_bounds[i] / system.x_scale[i]
        axes.plot([-REACH, REACH], [-0.32, -0.32], color="0.6", linewidth=1.5, solid_capstyle="butt")
        for bound, value in ((low, system.x_bounds[i, 0]), (high, system.x_bounds[i, 1])):
            axes.plot([bound, bound], [-0.32, 0.55], "k--", linewidth=0.9)
            axes.text(bound, -0.4, f"{value:g}", ha="center", va="top", fontsize="small")
        axes.plot([0, 0], [-0.32, 0.55], color=TARGET, linewidth=1.2, zorder=1)
        axes.text(-REACH - 0.1, 0.94, axis_label(system, i), ha="left", va="top", fontsize="small")
        self.spring = axes.plot([], [], color="0.45", linewidth=1.2)[0] if spring else None
        (self.mass,) = axes.plot([], [], "s", color=MASS, markersize=size, markeredgecolor="white", zorder=4)
        super().__init__(axes, system, i, pushes)
        self.artists: list[Artist] = [*([self.spring] if self.spring else []), self.mass, self.arrows]

    def show(self, trajectory: Trajectory, k: int) -> None:
        at, push = self._position(trajectory, k), self._arrow_lengths(trajectory, k)
        self.mass.set_data([at], [-0.1])
        if self.spring:
            self.spring.set_data(np.linspace(-REACH, at - 0.08, len(_SPRING)), _SPRING - 0.1)
        self.arrows.set_offsets(np.stack([np.full(len(push), at), 0.32 + 0.2 * np.arange(len(push))], axis=1))
        self.arrows.set_UVC(0.75 * push, np.zeros(len(push)))


class Arm(_ControlArrows):
    """An arm on a pivot, upright at the origin; positive angles turn it to the right."""

    def __init__(self, axes: Axes, system: System, i: int, pushes: list[tuple[int, float]]):
        low, high = np.clip(system.x_bounds[i], -np.pi, np.pi)
        turn = np.linspace(low, high, 60)
        axes.set(xlim=(-1.6, 1.6), ylim=(min(-0.2, np.cos(turn).min()) - 0.15, 1.5), aspect="equal")
        axes.axis("off")
        axes.set_title(axis_label(system, i), fontsize="small", pad=1)
        axes.plot(np.sin(turn), np.cos(turn), color="0.75", linewidth=1.2)
        for angle in (low, high) if high - low < 2 * np.pi else ():  # a full circle has no bounds to draw
            axes.plot([0, 1.15 * np.sin(angle)], [0, 1.15 * np.cos(angle)], "k--", linewidth=0.9)
        axes.plot([0, 0], [0, 1.2], color=TARGET, linewidth=1.2, zorder=1)
        (self.rod,) = axes.plot([], [], color=MASS, linewidth=3, zorder=3)
        (self.mass,) = axes.plot([], [], "o", color=MASS, markersize=11, markeredgecolor="white", zorder=4)
        axes.plot(0, 0, "o", color="0.3", markersize=5, zorder=4)
        super().__init__(axes, system, i, pushes)
        self.artists: list[Artist] = [self.rod, self.mass, self.arrows]

    def show(self, trajectory: Trajectory, k: int) -> None:
        angle, push = trajectory.x[k, self.i], self._arrow_lengths(trajectory, k)
        tip = np.array([np.sin(angle), np.cos(angle)])
        self.rod.set_data([0, tip[0]], [0, tip[1]])
        self.mass.set_data([tip[0]], [tip[1]])
        self.arrows.set_offsets(np.outer(1.0 + 0.18 * np.arange(len(push)), tip))
        self.arrows.set_UVC(0.9 * push * tip[1], -0.9 * push * tip[0])


# -- curves --------------------------------------------------------------------------------------------------


class PhaseView:
    """The phase portrait of the first two states (a single state over time): path so far, start and target."""

    def __init__(self, axes: Axes, system: System):
        self.system = system
        if system.n >= 2:
            draw_vector_field(axes, system)
            draw_box(axes, system)
            axes.set(xlim=1.15 * system.x_bounds[0], ylim=1.15 * system.x_bounds[1])
            axes.set_xlabel(axis_label(system, 0))
            axes.set_ylabel(axis_label(system, 1))
        else:
            axes.set(xlim=(0, system.horizon * system.dt), ylim=1.15 * system.x_bounds[0], xlabel="time [s]")
            axes.set_ylabel(axis_label(system, 0))
        (self.path,) = axes.plot([], [], color=MASS, linewidth=1.8)
        (self.start,) = axes.plot([], [], "o", color="white", markeredgecolor=MASS, markersize=6)
        (self.now,) = axes.plot([], [], "o", color=MASS, markersize=8, markeredgecolor="white", zorder=4)
        self.time = axes.text(0.02, 0.99, "", transform=axes.transAxes, va="top", fontfamily="monospace")
        self.artists: list[Artist] = [self.path, self.start, self.now, self.time]

    def show(self, trajectory: Trajectory, k: int) -> None:
        line = (
            trajectory.x[: k + 1, :2]
            if self.system.n >= 2
            else np.stack([trajectory.t[: k + 1], trajectory.x[: k + 1, 0]], 1)
        )
        self.path.set_data(line[:, 0], line[:, 1])
        self.start.set_data(*line[:1].T)
        self.now.set_data(*line[-1:].T)
        self.time.set_text(f"t = {trajectory.t[k]:.2f} s")


class CourseView:
    """All states or all controls over time, each as a share of its bound; bounds dashed."""

    def __init__(self, axes: Axes, system: System, controls: bool = False):
        self.controls = controls
        self.scale = np.abs(system.u_bounds).max(axis=1) if controls else system.x_scale
        names = system.control_names if controls else system.state_names
        axes.set(xlim=(0, system.horizon * system.dt), ylim=(-1.25, 1.25), yticks=(-1, 0, 1))
        for bound in (-1, 1):
            axes.axhline(bound, color="k", linestyle="--", linewidth=0.8)
        axes.axhline(0, color=TARGET, linewidth=0.8, zorder=0)
        axes.set_ylabel(f"{'control' if controls else 'state'} / bound")
        styles = zip(names, COLOURS[3 if controls else 0 :] * len(names), LINES * len(names), strict=False)
        drawn = "steps-post" if controls else "default"
        self.artists: list[Artist] = [
            axes.plot([], [], color=colour, linestyle=line, drawstyle=drawn, label=name)[0]
            for name, colour, line in styles
        ]
        axes.legend(loc="lower right", ncols=3, fontsize="small", framealpha=0.8, borderpad=0.2)

    def show(self, trajectory: Trajectory, k: int) -> None:
        values = trajectory.u[:k] if self.controls else trajectory.x[: k + 1]
        t = trajectory.t[: k + 1]
        if self.controls and k:
            values = np.concatenate([values, values[-1:]])  # the last control is held to the end of its interval
        for j, line in enumerate(self.artists):
            line.set_data(t[: len(values)], values[:, j] / self.scale[j])  # type: ignore[attr-defined]
