"""Frames and windows of a trajectory; the fixed parts of a figure are drawn once. Needs the ``plots`` extra."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from control_envs.dynamics.trajectory import Trajectory
from control_envs.rendering.views import CourseView, PhaseView, View, plant_views
from control_envs.systems.base import System
from control_envs.utils.optional import need

__all__ = ["Canvas", "Frames", "Window", "scene"]

SIZE, DPI = (8, 4), 100


class Canvas:
    """A figure whose views follow trajectories; everything else is drawn once and kept as pixels (blitting).

    Args:
        figure: a figure with an Agg canvas, in a window or not.
        views: the moving parts; their artists are redrawn for each frame.
    """

    def __init__(self, figure: Any, views: list[View]):
        self.figure, self.canvas, self.views = figure, figure.canvas, views
        for artist in self._artists():
            artist.set_animated(True)
        self._background: Any = None
        self.canvas.mpl_connect("draw_event", self._save_background)

    def _artists(self) -> Iterator[Any]:
        for view in self.views:
            yield from view.artists

    def _save_background(self, event: Any) -> None:
        """Saves the pixels of the fixed parts; matplotlib calls this again after a resize."""
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)

    def draw(self) -> None:
        """Draws the views in their current state."""
        if self._background is None:
            self.canvas.draw()
        self.canvas.restore_region(self._background)
        for artist in self._artists():
            self.figure.draw_artist(artist)
        self.canvas.blit(self.figure.bbox)

    def pixels(self) -> np.ndarray:
        """The current frame, (height, width, 3) uint8."""
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def scene(system: System, figure: Any) -> Canvas:
    """Views of one trajectory: the plant with controls as arrows, states and controls over time, the phase portrait."""
    grid = figure.add_gridspec(3, 2, height_ratios=(1.5, 1, 1), width_ratios=(1.15, 1))
    views: list[View] = [*plant_views(system, grid[0, 0]), PhaseView(figure.add_subplot(grid[:, 1]), system)]
    for row, controls in ((1, False), (2, True)):
        axes = figure.add_subplot(grid[row, 0])
        views.append(CourseView(axes, system, controls))
        axes.tick_params(labelbottom=controls)
    axes.set_xlabel("time [s]")
    return Canvas(figure, views)


class Frames:
    """Renders trajectories of one plant to arrays of pixels."""

    def __init__(self, system: System):
        figure = need("matplotlib.figure", "plots").Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        need("matplotlib.backends.backend_agg", "plots").FigureCanvasAgg(figure)
        with need("matplotlib", "plots").rc_context({"font.size": 8}):
            self._scene = scene(system, figure)
            self._scene.canvas.draw()

    def __call__(self, trajectory: Trajectory, k: int) -> np.ndarray:
        """The frame of a single trajectory at state k, (400, 800, 3) uint8."""
        for view in self._scene.views:
            view.show(trajectory, k)
        self._scene.draw()
        return self._scene.pixels()


class Window:
    """A window that shows trajectories of one plant. If no window can be opened, it warns once and shows nothing."""

    def __init__(self, system: System, fps: float):
        self._pause, self._scene = 1.0 / fps, None
        pyplot = need("matplotlib.pyplot", "plots")
        try:
            with pyplot.rc_context({"font.size": 8}):
                figure = pyplot.figure(figsize=SIZE, dpi=DPI, layout="constrained", num=None)
                if figure.canvas.required_interactive_framework is None:
                    pyplot.close(figure)
                    raise RuntimeError(f"matplotlib's backend {pyplot.get_backend()!r} opens no windows")
                self._scene = scene(system, figure)
                figure.canvas.manager.set_window_title(system.name)
                figure.show()
        except Exception as error:  # backends raise many types
            _warn_once(str(error).splitlines()[0])

    def show(self, trajectory: Trajectory, k: int) -> None:
        """Shows a single trajectory at state k for the duration of a step."""
        if self._scene is None or not self._is_open():
            return
        for view in self._scene.views:
            view.show(trajectory, k)
        self._scene.draw()
        self._scene.canvas.start_event_loop(self._pause)

    def _is_open(self) -> bool:
        figure = None if self._scene is None else self._scene.figure
        return figure is not None and bool(need("matplotlib.pyplot", "plots").fignum_exists(figure.number))

    def close(self) -> None:
        """Closes the window."""
        if self._scene is not None:
            need("matplotlib.pyplot", "plots").close(self._scene.figure)
            self._scene = None


@cache
def _warn_once(reason: str) -> None:
    print(
        f"error: render_mode='human' cannot open a window ({reason}): use 'rgb_array', or run where there is a display",
        file=sys.stderr,
    )
