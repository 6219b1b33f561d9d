"""The base class of numeric and text environments: a trajectory in progress, its running score, rendering."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import gymnasium as gym
import numpy as np

from control_envs.dynamics.trajectory import Trajectory, simulate
from control_envs.rewards import DEFAULT_VERSION, get_reward, score
from control_envs.rewards.metrics import measure
from control_envs.systems import System, get_system
from control_envs.systems.checks import checked_numbers, nearest_names
from control_envs.utils.types import Array

if TYPE_CHECKING:
    from control_envs.rendering.scene import Frames, Window

__all__ = ["TrajectoryEnv", "checked_options", "checked_x0", "parse_state"]

Observation = TypeVar("Observation")
Action = TypeVar("Action")


def checked_x0(system: System, given: Any, batch: int | None = None, name: str = "options['x0']") -> Array:
    """A given initial state as an array (n,), or ``batch`` of them as an array (batch, n).

    Args:
        system: the plant.
        given: the state or states, as array-like.
        batch: number of states; None for a single one.
        name: what error messages call them.

    Raises:
        ValueError: another shape, a number that is not finite, or a state outside the plant's bounds.
    """
    try:
        x0 = checked_numbers(name, given).copy()
    except ValueError:
        x0 = np.array(np.nan)  # refused below
    low, high = system.x_bounds.T
    shape = (system.n,) if batch is None else (batch, system.n)
    if x0.shape != shape or not np.all((low <= x0) & (x0 <= high)):  # NaN fails too
        expected = f"{system.n}" if batch is None else f"{shape}"
        actual = f", not {given!r}" if batch is None else ""
        raise ValueError(f"{name} must be {expected} finite numbers inside {system.x_bounds.tolist()}{actual}")
    return x0


def checked_options(options: dict[str, Any] | None, known: Sequence[str] = ("x0",)) -> dict[str, Any]:
    """The options of ``reset``; empty if there are none.

    Args:
        options: as given.
        known: names of the options that there are.

    Raises:
        ValueError: ``options`` is not a dictionary, or names an option that there is not.
    """
    if not isinstance(options, dict | None):
        raise ValueError(f"options must be a dictionary, such as {{'x0': ...}}, not {options!r}")
    for name in options or {}:
        if name not in known:
            raise ValueError(f"reset has no option {name!r}.{nearest_names(str(name), set(known))}")
    return options or {}


def parse_state(system: System, text: str, name: str) -> Array:
    """Parses a state (n,), written as numbers separated by commas or blanks, such as "0.4,-0.2".

    Args:
        system: the plant.
        text: the numbers.
        name: what error messages call the text, such as "--x0".

    Raises:
        ValueError: not numbers, or not valid for `checked_x0`.
    """
    try:
        given = [float(number) for number in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f"{name} must be numbers separated by commas, such as 0.4,-0.2, not {text!r}") from None
    return checked_x0(system, given, name=name)


class TrajectoryEnv(gym.Env[Observation, Action], Generic[Observation, Action]):
    """The base class of numeric and text environments: a trajectory in progress and its running score.

    The reward of a step is the increment of the running score (the score of the trajectory so far), so that an
    episode's undiscounted return equals the score of its trajectory. The task ends after ``horizon`` controls: the
    episode is then ``terminated``. It is never truncated.

    Args:
        system: a plant's name or a `System`.
        reward_version: a key of `control_envs.rewards.REWARDS`.
        render_mode: None, "rgb_array" (`render` returns a frame of the current state), "rgb_array_list" (`render`
            returns a frame for each state since its last call: the whole plan in a text environment) or "human" (a
            window that follows each step; if no window can be opened, one line on stderr says so).
        settings: any field or parameter of the plant: ``dt, horizon, x_bounds, u_bounds, x0_bounds, Q, R, mu``.

    Raises:
        ValueError: an unknown plant, reward version or setting, or an invalid value.
    """

    metadata = {"render_modes": ["human", "rgb_array", "rgb_array_list"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        system: str | System,
        reward_version: str = DEFAULT_VERSION,
        render_mode: str | None = None,
        **settings: Any,
    ):
        self.system = get_system(system, **settings)
        self.reward_spec = get_reward(reward_version)
        if render_mode not in (None, *self.metadata["render_modes"]):
            modes = ", ".join(map(repr, self.metadata["render_modes"]))
            raise ValueError(f"render_mode must be None or one of {modes}, not {render_mode!r}")
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": max(1, round(1 / self.system.dt))}  # real time
        self._trajectory: Trajectory | None = None
        self._score = 0.0
        self._rendered = 0  # number of states already rendered

    # -- the trajectory --------------------------------------------------------------------------------------

    @property
    def trajectory(self) -> Trajectory:
        """The trajectory so far."""
        if self._trajectory is None:
            raise gym.error.ResetNeeded("call reset() before anything else")
        return self._trajectory

    @property
    def _state(self) -> Array:
        state: Array = self.trajectory.x[-1]
        return state

    @property
    def _steps_left(self) -> int:
        return self.system.horizon - self.trajectory.horizon

    def _start(self, seed: int | None, options: dict[str, Any] | None, decimals: int) -> dict[str, Any]:
        super().reset(seed=seed)
        given = checked_options(options).get("x0")
        x0 = self.system.sample_x0(self.np_random, (), decimals) if given is None else checked_x0(self.system, given)
        no_controls = np.empty((0, self.system.m))
        self._trajectory = Trajectory(self.system, x0[None], no_controls, no_controls)
        self._score, self._rendered = 0.0, 0
        self._show()
        return {"x0": x0}

    def _apply(self, controls: Array) -> None:
        """Applies controls (k, m) from the current state."""
        past, new = self.trajectory, simulate(self.system, self._state, controls)
        self._trajectory = Trajectory(
            self.system,
            np.concatenate([past.x, new.x[1:]]),
            np.concatenate([past.u, new.u]),
            np.concatenate([past.u_written, new.u_written]),
        )
        self._show()

    def _reward(self, total: float) -> float:
        """The increment from the running score to ``total``, which replaces it."""
        increment = total - self._score
        self._score = total
        return float(increment)

    def _score_trajectory(self) -> tuple[float, dict[str, Any]]:
        """The score of the trajectory so far, and its info."""
        metrics = measure(self.trajectory)
        result = score(metrics, self.reward_spec.version)
        terms = {name: float(value) for name, value in result.terms.items()}
        return float(result.total), self._info(terms, metrics.to_dict())

    def _info(self, reward_terms: dict[str, float], metrics: dict[str, float]) -> dict[str, Any]:
        return {
            "x0": self.trajectory.x[0].copy(),
            "reward_terms": reward_terms,
            "metrics": metrics,
            "trajectory": self.trajectory,
        }

    # -- rendering ---------------------------------------------------------------------------------------

    @cached_property
    def _frames(self) -> Frames:
        from control_envs.rendering.scene import Frames

        return Frames(self.system)

    @cached_property
    def _window(self) -> Window:
        from control_envs.rendering.scene import Window

        return Window(self.system, self.metadata["render_fps"])

    def render(self) -> np.ndarray | list[np.ndarray] | None:  # type: ignore[override]
        """A frame (400, 800, 3) uint8 or a list of frames, by render mode; None for no mode and for "human"."""
        if self.render_mode is None or self.render_mode == "human":
            return None
        trajectory, first = self.trajectory, self._rendered
        if self.render_mode == "rgb_array":
            return self._frames(trajectory, trajectory.horizon)
        self._rendered = trajectory.horizon + 1
        return [self._frames(trajectory, k) for k in range(first, trajectory.horizon + 1)]

    def _show(self) -> None:
        """Plays the new states of the trajectory in the window, if there is one."""
        if self.render_mode == "human":
            for k in range(self._rendered, self.trajectory.horizon + 1):
                self._window.show(self.trajectory, k)
            self._rendered = self.trajectory.horizon + 1

    def close(self) -> None:
        """Closes the window, if there is one."""
        if "_window" in vars(self):
            self._window.close()
            del self._window
