"""The Gymnasium environments: one control a step, or one text a plan. Both are thin."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from control_envs.codec import DECIMALS, MAX_CHARS, Verdict, format_prompt, parse_completion
from control_envs.metrics import measure
from control_envs.rewards import DEFAULT_VERSION, get_reward, score
from control_envs.scoring import invalid_terms
from control_envs.spaces import PlainText
from control_envs.systems import DIVERGED, System, get_system
from control_envs.systems.base import Array
from control_envs.trajectory import Trajectory, simulate

if TYPE_CHECKING:
    from control_envs.scene import Frames, Window

Observation = TypeVar("Observation")
Action = TypeVar("Action")
MAX_PROMPT_CHARS = 1024


def checked_x0(system: System, given: Any, batch: int | None = None, name: str = "options['x0']") -> Array:
    """``options["x0"]``, or what else has that name, as an array (n,), or (batch, n).

    Raises:
        ValueError: another shape, a number that is not finite, or a state outside the plant's box.
    """
    x0 = np.array(given, dtype=np.float64)
    low, high = system.x_bounds.T
    shape = (system.n,) if batch is None else (batch, system.n)
    if x0.shape != shape or not np.all((low <= x0) & (x0 <= high)):  # a NaN is inside nothing
        wanted = f"{system.n}" if batch is None else f"{shape}"
        shown = f", not {given!r}" if batch is None else ""
        raise ValueError(f"{name} must be {wanted} finite numbers inside {system.x_bounds.tolist()}{shown}")
    return x0


class FlightEnv(gym.Env[Observation, Action], Generic[Observation, Action]):
    """What both kinds of environment share: a flight in progress and its running score.

    Rewards are the increments of the running score (the score of the flight so far), so that an episode's
    undiscounted return equals the score of its trajectory. The task itself ends after ``horizon`` controls:
    that is ``terminated``; nothing is ever truncated.

    Args:
        system: a plant's name or a `System`.
        reward_version: a key of `control_envs.rewards.REWARDS`.
        render_mode: None, "rgb_array" (`render` gives the state reached), "rgb_array_list" (`render` gives a frame for
            each state since it was last called: of a text, the whole plan as it is played) or "human" (a window that
            follows each step; where none can be opened, one line on the standard error says so).
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
        self.metadata = {**self.metadata, "render_fps": max(1, round(1 / self.system.dt))}  # as fast as it flies
        self._flight: Trajectory | None = None
        self._score = 0.0
        self._rendered = 0  # states of the flight that have had their frame

    # -- the flight --------------------------------------------------------------------------------------

    @property
    def trajectory(self) -> Trajectory:
        """The flight so far."""
        if self._flight is None:
            raise gym.error.ResetNeeded("call reset() before anything else")
        return self._flight

    @property
    def _state(self) -> Array:
        return self.trajectory.x[-1]

    @property
    def _steps_left(self) -> int:
        return self.system.horizon - self.trajectory.horizon

    def _start(self, seed: int | None, options: dict[str, Any] | None, decimals: int) -> dict[str, Any]:
        super().reset(seed=seed)
        given = (options or {}).get("x0")
        x0 = self.system.sample_x0(self.np_random, (), decimals) if given is None else checked_x0(self.system, given)
        none = np.empty((0, self.system.m))
        self._flight = Trajectory(self.system, x0[None], none, none)
        self._score, self._rendered = 0.0, 0
        self._show()
        return {"x0": x0}

    def _fly(self, controls: Array) -> None:
        """Plays controls (k, m) from the state reached."""
        done, new = self.trajectory, simulate(self.system, self._state, controls)
        self._flight = Trajectory(
            self.system,
            np.concatenate([done.x, new.x[1:]]),
            np.concatenate([done.u, new.u]),
            np.concatenate([done.u_written, new.u_written]),
        )
        self._show()

    def _reward(self, total: float) -> float:
        """The step from the running score to the new one."""
        increment = total - self._score
        self._score = total
        return float(increment)

    def _scored(self) -> tuple[float, dict[str, Any]]:
        """The flight's score so far, and the info that belongs to it."""
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

    # -- pictures ----------------------------------------------------------------------------------------

    @cached_property
    def _frames(self) -> Frames:
        from control_envs.scene import Frames

        return Frames(self.system)

    @cached_property
    def _window(self) -> Window:
        from control_envs.scene import Window

        return Window(self.system, self.metadata["render_fps"])

    def render(self) -> np.ndarray | list[np.ndarray] | None:  # type: ignore[override]
        """A frame (400, 800, 3) uint8 or a list of them, as the render mode says; None without one or in a window."""
        if self.render_mode is None or self.render_mode == "human":
            return None
        flight, first = self.trajectory, self._rendered
        if self.render_mode == "rgb_array":
            return self._frames(flight, flight.horizon)
        self._rendered = flight.horizon + 1
        return [self._frames(flight, k) for k in range(first, flight.horizon + 1)]

    def _show(self) -> None:
        """Plays what is new of the flight in the window, if there is one."""
        if self.render_mode == "human":
            for k in range(self._rendered, self.trajectory.horizon + 1):
                self._window.show(self.trajectory, k)
            self._rendered = self.trajectory.horizon + 1

    def close(self) -> None:
        """Closes the window, if there is one."""
        if "_window" in vars(self):
            self._window.close()
            del self._window


class ControlEnv(FlightEnv[Array, Array]):
    """Box in, Box out: the observation is the state (n,), the action sets the control (m,), one a step.

    Args:
        action_units: "normalized" (the default, what Gymnasium and Stable-Baselines3 recommend): an action in
            [-1, 1] spans ``u_bounds``. "physical": the action is the control u itself, so that a feedback law
            can be written ``env.step(-K @ x)``. Controls outside ``u_bounds`` are saturated and counted.
    """

    def __init__(
        self,
        system: str | System,
        reward_version: str = DEFAULT_VERSION,
        action_units: Literal["normalized", "physical"] = "normalized",
        **kwargs: Any,
    ):
        super().__init__(system, reward_version, **kwargs)
        low, high = self.system.u_bounds.T
        if action_units == "normalized":
            self._offset, self._gain = (low + high) / 2, (high - low) / 2
        elif action_units == "physical":
            self._offset, self._gain = np.zeros_like(low), np.ones_like(low)
        else:
            raise ValueError(f"action_units must be 'normalized' or 'physical', not {action_units!r}")
        limit = DIVERGED * self.system.x_scale
        self.observation_space = spaces.Box(-limit, limit, dtype=np.float64)
        self.action_space = spaces.Box(
            (low - self._offset) / self._gain, (high - self._offset) / self._gain, dtype=np.float64
        )

    def to_action(self, u: Array) -> Array:
        """The action that commands the control u (m,)."""
        return (np.asarray(u, dtype=np.float64) - self._offset) / self._gain

    def to_control(self, action: Array) -> Array:
        """The control (..., m) that an action (..., m) commands."""
        return self._offset + self._gain * np.asarray(action, dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Starts a flight from ``options["x0"]`` or from a state drawn on the two-decimal grid."""
        info = self._start(seed, options, DECIMALS)
        return self._state.copy(), info

    def step(self, action: Array):
        """Plays one action (m,).

        Raises:
            ValueError: the action is not m finite numbers.
        """
        if self._steps_left <= 0:
            raise gym.error.ResetNeeded("the flight is over: call reset()")
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (self.system.m,) or not np.all(np.isfinite(action)):
            raise ValueError(f"an action must be {self.system.m} finite numbers, not {action!r}")
        self._fly(self.to_control(action)[None])
        total, info = self._scored()
        return self._state.copy(), self._reward(total), self._steps_left == 0, False, info


class TextControlEnv(FlightEnv[str, str]):
    """Text in, text out: the observation is the prompt, the action the completion.

    A step plays the whole plan and terminates. With ``replan_every=k`` it plays the plan's first k controls and
    asks again from the state reached, for a plan of the same length, until ``horizon`` controls are played
    (k = 1 is receding-horizon control). A text without a plan ends the episode with that text's score; a step
    never raises, whatever the text.

    Args:
        replan_every: controls played of each plan; None for all.
        precision: decimals of the grid that initial states are drawn on and printed with.
    """

    def __init__(
        self,
        system: str | System,
        reward_version: str = DEFAULT_VERSION,
        replan_every: int | None = None,
        precision: int = DECIMALS,
        **kwargs: Any,
    ):
        super().__init__(system, reward_version, **kwargs)
        if replan_every is not None and (int(replan_every) != replan_every or replan_every < 1):
            raise ValueError(f"replan_every must be a whole number of at least 1 or None, not {replan_every!r}")
        if int(precision) != precision or not 0 <= precision <= 15:
            raise ValueError(f"precision must be a whole number of decimals from 0 to 15, not {precision!r}")
        self.replan_every = replan_every or self.system.horizon
        self.precision = precision
        self.observation_space = PlainText(MAX_PROMPT_CHARS)
        self.action_space = PlainText(MAX_CHARS)

    def _prompt(self) -> str:
        return format_prompt(self.system, self._state, self.precision)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Asks for a plan from ``options["x0"]`` or from a state drawn on the grid of ``precision`` decimals."""
        info = self._start(seed, options, self.precision)
        return self._prompt(), info

    def step(self, action: str):
        """Plays a completion."""
        if self._steps_left <= 0:
            raise gym.error.ResetNeeded("the flight is over: call reset()")
        parsed = parse_completion(str(action), self.system.horizon, self.system.m)
        if parsed.controls is None:
            total, info = self._unanswered(parsed.verdict)
        else:
            self._fly(parsed.controls[: min(self.replan_every, self._steps_left)])
            total, info = self._scored()
        info |= {"verdict": parsed.verdict, "parsed_controls": parsed.controls}
        terminated = parsed.controls is None or self._steps_left == 0
        return self._prompt(), self._reward(total), terminated, False, info

    def _unanswered(self, verdict: Verdict) -> tuple[float, dict[str, Any]]:
        terms = invalid_terms(verdict, self.reward_spec)
        return sum(terms.values()), self._info(terms, measure(self.trajectory).to_dict())
