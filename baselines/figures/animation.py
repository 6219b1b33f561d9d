"""Animations of one trajectory per policy, side by side. Needs the ``plots`` extra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.figures.comparison import new_figure
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rendering.scene import Canvas
from control_envs.rendering.views import CourseView, PhaseView, View, plant_views
from control_envs.systems.base import System
from control_envs.utils.files import replacing
from control_envs.utils.optional import need

__all__ = ["check_name", "frames", "write_gif"]

COLUMN, HEIGHT = 2.7, 5.6  # inches
HOLD = 1500  # milliseconds that the last frame stays
COLOURS_KEPT = 96


def frames(trajectories: Mapping[str, Trajectory], said: Mapping[str, str]) -> Iterator[np.ndarray]:
    """The frames of an animation, (height, width, 3) uint8, one for each state, with one column per policy.

    Args:
        trajectories: name of each policy to its trajectory, all of one plant.
        said: name of each policy to the text under its name.
    """
    with need("matplotlib", "plots").rc_context({"font.size": 8}):
        canvas, columns = _columns(trajectories, said)
        canvas.canvas.draw()
    for k in range(next(iter(trajectories.values())).horizon + 1):
        for views, trajectory in zip(columns, trajectories.values(), strict=True):
            for view in views:
                view.show(trajectory, k)
        canvas.draw()
        yield canvas.pixels()


def _columns(trajectories: Mapping[str, Trajectory], labels: Mapping[str, str]) -> tuple[Canvas, list[list[View]]]:
    system = next(iter(trajectories.values())).system
    figure = new_figure(COLUMN * len(trajectories), HEIGHT)
    grid = figure.add_gridspec(3, len(trajectories), height_ratios=(1.1, 2.2, 0.9))
    columns = []
    for column, name in enumerate(trajectories):
        views: list[View] = plant_views(system, grid[0, column])
        phase, course = figure.add_subplot(grid[1, column]), figure.add_subplot(grid[2, column])
        phase.set_title(f"{name}\n{labels[name]}", fontsize=9)
        views += [PhaseView(phase, system), CourseView(course, system, controls=True)]
        course.set_xlabel("time [s]")
        if column:
            phase.set_ylabel("")
            course.set_ylabel("")
        columns.append(views)
    return Canvas(figure, [view for views in columns for view in views]), columns


def check_name(path: Path) -> None:
    """Checks the name of an animation file.

    Raises:
        ValueError: the name does not end in .gif.
    """
    if path.suffix.lower() != ".gif":
        raise ValueError(f"an animation must be a .gif file, not {path.name!r}")


def write_gif(path: Path, pictures: Sequence[np.ndarray], system: System) -> None:
    """Writes an animated GIF that plays in real time and repeats."""
    image: Any = need("PIL.Image", "plots")
    palette = image.fromarray(pictures[-1]).quantize(COLOURS_KEPT)
    first, *rest = (image.fromarray(p).quantize(palette=palette, dither=0) for p in pictures)
    durations = [round(1000 * system.dt)] * len(rest) + [HOLD]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        first.save(part, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)
