"""The numeric environments: the observation is the state, the action one control."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from control_envs.envs.base import TrajectoryEnv
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems import DIVERGED, System
from control_envs.systems.checks import checked_numbers
from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = ["ControlEnv"]


class ControlEnv(TrajectoryEnv[Array, Array]):
    """Box observations, Box actions: the state (n,) in, one control (m,) per step.

    Args:
        action_units: "normalized" (the default, what Gymnasium and Stable-Baselines3 recommend): an action in
            [-1, 1] spans ``u_bounds``. "physical": the action is the control u itself, so that state feedback is
            ``env.step(-K @ x)``. Controls outside ``u_bounds`` are saturated and counted.
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
        action: Array = (np.asarray(u, dtype=np.float64) - self._offset) / self._gain
        return action

    def to_control(self, action: Array) -> Array:
        """The control (..., m) that an action (..., m) commands."""
        u: Array = self._offset + self._gain * np.asarray(action, dtype=np.float64)
        return u

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Starts a trajectory from ``options["x0"]``, or from a state sampled on the two-decimal grid."""
        info = self._start(seed, options, DECIMALS)
        return self._state.copy(), info

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Applies one action (m,).

        Raises:
            ValueError: the action is not m finite numbers.
        """
        if self._steps_left <= 0:
            raise gym.error.ResetNeeded("the trajectory is over: call reset()")
        action = checked_numbers("an action", action)
        if action.shape != (self.system.m,) or not np.all(np.isfinite(action)):
            raise ValueError(f"an action must be {self.system.m} finite numbers, not {action!r}")
        self._apply(self.to_control(action)[None])
        total, info = self._score_trajectory()
        return self._state.copy(), self._reward(total), self._steps_left == 0, False, info
