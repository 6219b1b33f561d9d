"""Figures of a comparison: trajectories, cost ratios, costs over initial states. Needs the ``plots`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.evaluation.results import Result
from control_envs import System
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rendering.drawing import COLOURS, axis_label, draw_bounds, draw_box, draw_phase, draw_vector_field
from control_envs.utils.optional import need
from control_envs.utils.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_all", "draw_cost_map", "draw_cost_ratios", "draw_trajectories", "new_figure"]

VIOLATED = COLOURS[3]
SHOWN_STATES = 6
LEAST_REGRET = 1e-7  # smaller relative regrets are within solver accuracy
PER_ROW = 4


def draw_all(results: Sequence[Result], x0: Array, folder: Path) -> list[Path]:
    """Writes every figure of one plant's comparison; returns their paths."""
    system = results[0].trajectories.system
    paths = [folder / f"{kind}_{system.name}.png" for kind in ("trajectories", "cost_ratios", "cost_map")]
    draw_trajectories(results, paths[0])
    draw_cost_ratios(results, paths[1])
    draw_cost_map(results, x0, paths[2])
    return paths


def draw_trajectories(results: Sequence[Result], path: Path) -> None:
    """Phase portraits and time courses from the same first initial states; bounds dashed.

    Writes nothing if there is no initial state from which all policies have a valid trajectory.
    """
    shown = [r for r in results if r.valid.any()]
    all_valid = np.all([r.valid for r in shown], axis=0) if shown else np.zeros(0, dtype=bool)
    states = np.flatnonzero(all_valid)[:SHOWN_STATES]
    if not len(states):
        return
    trajectories = {r.name: r.trajectories[states] for r in shown}
    colours = dict(zip(trajectories, COLOURS * len(trajectories), strict=False))
    system = shown[0].trajectories.system
    rows = -(-len(trajectories) // PER_ROW)
    figure = new_figure(11, 3.4 * rows + 3.2)
    parts: Any = figure.subfigures(2, 1, height_ratios=[3.4 * rows, 3.2])
    above, below = parts
    portraits = above.subplots(rows, min(PER_ROW, len(trajectories)), squeeze=False).ravel()
    for axes in portraits[len(trajectories) :]:
        axes.axis("off")
    for axes, (name, trajectory) in zip(portraits, trajectories.items(), strict=False):
        draw_vector_field(axes, system)
        draw_box(axes, system)
        draw_phase(axes, trajectory, colours[name])
        axes.set_title(name, fontsize="medium")
    courses = below.subplots(1, system.n + system.m)
    for i, axes in enumerate(courses):
        _draw_course(axes, trajectories, colours, i)
    handles, labels = courses[0].get_legend_handles_labels()
    below.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 7), fontsize="small")
    above.suptitle(f"{_plain_title(system)}: trajectories from held-out initial states, the first over time")
    figure.savefig(path)


def _draw_course(axes: Axes, trajectories: dict[str, Trajectory], colours: dict[str, str], i: int) -> None:
    """State i, or control i - n, of each policy's first trajectory over time, with its bounds."""
    system = next(iter(trajectories.values())).system
    j = i - system.n
    for name, trajectory in trajectories.items():
        if j < 0:
            axes.plot(trajectory.t, trajectory.x[0, :, i], color=colours[name], label=name)
        else:
            axes.step(trajectory.t[:-1], trajectory.u[0, :, j], color=colours[name], where="post", label=name)
    draw_bounds(axes, *(system.x_bounds[i] if j < 0 else system.u_bounds[j]))
    axes.set_xlabel("time [s]")
    axes.set_title(axis_label(system, i) if j < 0 else system.control_names[j], fontsize="medium")


def draw_cost_ratios(results: Sequence[Result], path: Path) -> None:
    """The distribution of the regret J/J* - 1 of each policy: the share of initial states with at most that regret."""
    figure = new_figure(7.5, 4.2)
    axes = figure.subplots()
    for result, colour in zip(results, COLOURS * len(results), strict=False):
        ratio = result.values["cost_ratio_kept"]
        regret = np.sort(np.maximum(ratio[np.isfinite(ratio)] - 1.0, LEAST_REGRET))
        share = np.arange(1, len(regret) + 1) / len(ratio)
        axes.step(regret, share, where="post", color=colour, label=result.name)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="regret J/J* - 1", ylabel="share of initial states, feasible")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    axes.set_title(f"{_plain_title(results[0].trajectories.system)}: regret over held-out initial states")
    figure.savefig(path)


def draw_cost_map(results: Sequence[Result], x0: Array, path: Path) -> None:
    """Regret over the first two components of the initial state; crosses mark violated bounds."""
    system = results[0].trajectories.system
    rows = -(-len(results) // PER_ROW)
    figure = new_figure(11, 3.1 * rows)
    panels = figure.subplots(rows, min(PER_ROW, len(results)), squeeze=False).ravel()
    for axes in panels[len(results) :]:
        axes.axis("off")
    scatter: Any = None
    for axes, result in zip(panels, results, strict=False):
        regret = np.log10(np.maximum(result.values["cost_ratio"] - 1.0, LEAST_REGRET))
        violated = result.values["violated"] > 0
        scatter = axes.scatter(*x0[~violated, :2].T, c=regret[~violated], s=14, vmin=-5, vmax=0.5)
        axes.scatter(*x0[violated, :2].T, c=VIOLATED, marker="x", s=14)
        axes.set_title(result.name, fontsize="medium")
        axes.set_xlabel(axis_label(system, 0))
        axes.set_ylabel(axis_label(system, 1))
    figure.colorbar(scatter, ax=panels.tolist(), label="log10(J/J* - 1)")
    figure.suptitle(f"{_plain_title(system)}: regret over initial states (x: violates the bounds)")
    figure.savefig(path)


def _plain_title(system: System) -> str:
    title = system.title.partition(" ")[2]
    return f"{title[0].upper()}{title[1:]} ({system.name})"


def new_figure(width: float, height: float) -> Figure:
    """A figure of that size in inches, for files (Agg canvas, no display)."""
    figure = need("matplotlib.figure", "plots").Figure(figsize=(width, height), dpi=110, layout="constrained")
    need("matplotlib.backends.backend_agg", "plots").FigureCanvasAgg(figure)
    return figure
