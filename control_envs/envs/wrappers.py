"""Other training signals for the numeric environments."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from control_envs.systems.base import TERMINAL_WEIGHT
from control_envs.utils.types import Array


class StageCostReward(gym.Wrapper):
    """Pays each step's own part of -J, so that the return of an episode is -(J + price * violations) / scale.

    The environment's own reward is the increment of a score that looks back over the whole trajectory, which a policy
    that sees the state alone cannot predict. This one depends on the step alone (docs/findings.md has the figures).

    Args:
        env: a `control_envs.envs.ControlEnv`, wrapped or not.
        scale: what J is divided by.
        price: what a violation costs, in units of J.
    """

    def __init__(self, env: gym.Env, scale: float = 10.0, price: float = 10.0):
        super().__init__(env)
        self._scale, self._price, self._violations = scale, price, 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Starts a trajectory without violations."""
        self._violations = 0.0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Array):
        """Plays one action."""
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
