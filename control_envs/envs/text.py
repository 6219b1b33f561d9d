"""The text environments: the observation is the prompt, the action a completion with a whole plan."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from control_envs.envs.base import TrajectoryEnv
from control_envs.envs.spaces import PlainText
from control_envs.rewards import DEFAULT_VERSION
from control_envs.rewards.metrics import measure
from control_envs.systems import System
from control_envs.systems.checks import checked_count
from control_envs.text import DECIMALS, MAX_CHARS, Verdict, format_prompt, invalid_terms, parse_completion

__all__ = ["MAX_PROMPT_CHARS", "TextControlEnv"]

MAX_PROMPT_CHARS = 1024


class TextControlEnv(TrajectoryEnv[str, str]):
    """Text in, text out: the observation is the prompt, the action the completion.

    A step applies the whole plan and terminates. With ``replan_every=k`` it applies the first k controls and prompts
    again from the state reached, for a plan of the same length, until ``horizon`` controls are applied (k = 1 is
    receding-horizon control). A text without a plan ends the episode with that text's score. No text makes a step
    raise an error.

    Args:
        replan_every: controls applied of each plan; None for all.
        precision: decimals of the grid that initial states are sampled on and printed with.
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
        if precision not in range(16):
            raise ValueError(f"precision must be a whole number of decimals from 0 to 15, not {precision!r}")
        self.replan_every = self.system.horizon if replan_every is None else checked_count("replan_every", replan_every)
        self.precision = int(precision)
        self.observation_space = PlainText(MAX_PROMPT_CHARS)
        self.action_space = PlainText(MAX_CHARS)

    def _prompt(self) -> str:
        return format_prompt(self.system, self._state, self.precision)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Prompts for a plan from ``options["x0"]``, or from a state sampled on the grid of ``precision`` decimals."""
        info = self._start(seed, options, self.precision)
        return self._prompt(), info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Applies the plan of a completion."""
        if self._steps_left <= 0:
            raise gym.error.ResetNeeded("the trajectory is over: call reset()")
        parsed = parse_completion(str(action), self.system.horizon, self.system.m)
        if parsed.controls is None:
            total, info = self._score_without_plan(parsed.verdict)
        else:
            self._apply(parsed.controls[: min(self.replan_every, self._steps_left)])
            total, info = self._score_trajectory()
        info |= {"verdict": parsed.verdict, "parsed_controls": parsed.controls}
        terminated = parsed.controls is None or self._steps_left == 0
        return self._prompt(), self._reward(total), terminated, False, info

    def _score_without_plan(self, verdict: Verdict) -> tuple[float, dict[str, Any]]:
        terms = invalid_terms(verdict, self.reward_spec)
        return sum(terms.values()), self._info(terms, measure(self.trajectory).to_dict())
