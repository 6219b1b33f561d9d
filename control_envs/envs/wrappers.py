"""A wrapper that replaces the reward of the numeric environments by stage costs."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from control_envs.systems.base import TERMINAL_WEIGHT
from control_envs.systems.checks import checked_float, checked_positive
from control_envs.utils.types import Array

__all__ = ["StageCostReward"]


class StageCostReward(gym.Wrapper):
    """Rewards each step with its share of -J, so that an episode's return is -(J + price * violations) / scale.

    The environment's own reward is the increment of a score over the whole trajectory so far, which a policy that
    observes only the state cannot predict. This reward depends on the current step alone (figures: docs/findings.md).

    Args:
        env: a `control_envs.envs.ControlEnv`, wrapped or not.
        scale: divisor of J.
        price: cost of a violation, in units of J.
    """

    def __init__(self, env: gym.Env, scale: float = 10.0, price: float = 10.0):
        super().__init__(env)
        self._scale, self._price = checked_positive("scale", scale), checked_float("price", price)
        self._violations = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Starts a trajectory."""
        self._violations = 0.0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Applies one action (m,)."""
        observation, _, terminated, truncated, info = self.env.step(action)
        trajectory, metrics = info["trajectory"], info["metrics"]
        system = trajectory.system
        x, u = trajectory.x[-2:] / system.x_scale, trajectory.u[-1] / system.u_scale
        cost = x[0] @ system.Q @ x[0] + u @ system.R @ u
        if terminated:
            cost += TERMINAL_WEIGHT * (x[1] @ system.Q @ x[1])
        violations = metrics["control_violations"] + metrics["state_violations"]
        cost += self._price * (violations - self._violations)
        self._violations = violations
        return observation, float(-cost / self._scale), terminated, truncated, info
