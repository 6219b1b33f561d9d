"""A trajectory in closed loop, as all integrations play it: the next controls in, the state reached out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from control_envs import System, measure
from control_envs.envs import ControlEnv
from control_envs.text import DECIMALS, invalid_terms
from llm_agent.integrations.core import Problem, Reward

__all__ = ["Episode"]


class Episode:
    """One trajectory of a plant, played some controls at a time.

    Args:
        system: a plant or its name.
        reward: the reward of the whole trajectory.
    """

    def __init__(self, system: str | System = "double_integrator", reward: Reward | None = None):
        self._reward = reward or Reward()
        self._env = ControlEnv(system, self._reward.version, action_units="physical")
        self._return, self.over = 0.0, True

    @classmethod
    def replay(cls, problem: Problem, controls: ArrayLike = (), reward: Reward | None = None) -> Episode:
        """The trajectory of a problem after some controls, any number of steps of m each."""
        episode = cls(problem.system, reward)
        episode.reset(problem.x0)
        if np.size(controls):
            episode.play(controls)
        return episode

    @property
    def system(self) -> System:
        """The plant."""
        return self._env.system

    @property
    def problem(self) -> Problem:
        """The plant's name and the initial state."""
        return Problem(self.system.name, tuple(self._env.trajectory.x[0].tolist()))

    @property
    def left(self) -> int:
        """The number of controls left to play."""
        return self.system.horizon - self._env.trajectory.horizon

    @property
    def x(self) -> list[float]:
        """The state reached (n,)."""
        state: list[float] = self._env.trajectory.x[-1].tolist()
        return state

    @property
    def success(self) -> bool:
        """The whole trajectory was played, ends within 0.1 of the origin (scaled) and violates no bound."""
        return self.over and bool(measure(self._env.trajectory).success)

    def reset(self, x0: Sequence[float] | None = None, seed: int | None = None) -> None:
        """Starts again.

        Args:
            x0: the initial state (n,); None draws one.
            seed: of the draw.

        Raises:
            ValueError: x0 is not n numbers within the plant's bounds.
        """
        self._env.reset(seed=seed, options=None if x0 is None else {"x0": x0})
        self._return, self.over = 0.0, False

    def play(self, controls: ArrayLike) -> str:
        """Plays controls, one every time step, and says the state that they lead to.

        Args:
            controls: the next steps, (steps, m) or one row of steps * m numbers.

        Raises:
            ValueError: the trajectory is over, or these are not finite numbers, m for each of the steps left; nothing
                is played then.
        """
        system = self.system
        if self.over:
            raise ValueError("the trajectory is over")
        try:
            rows = np.asarray(controls, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            rows = np.empty(0)
        if len(rows) == 0 or len(rows) % system.m or not np.isfinite(rows).all():
            raise ValueError(f"controls must be finite numbers, {system.m} for each step")
        if len(rows) // system.m > self.left:
            raise ValueError(f"only {self.left} controls are left to play")
        for u in rows.reshape(-1, system.m):
            x, reward, self.over, _, _ = self._env.step(u)
            self._return += reward
        state = ", ".join(f"{name}={value:.{DECIMALS}f}" for name, value in zip(system.state_names, x, strict=True))
        return f"{state}; {self.left} controls left"

    def score(self) -> float:
        """The trajectory's reward; an unfinished trajectory scores like a plan with a wrong number of controls."""
        unfinished = sum(invalid_terms("wrong_count", self._env.reward_spec).values())
        return self._reward.scale(self._return if self.over else unfinished)
