"""Text policies: prompts in, completions out, in open loop or with replanning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from baselines.controllers.policy import OK, Controller
from control_envs import System
from control_envs.text import DECIMALS, END_CONTROLS, format_prompt, parse_completion
from control_envs.utils.types import Array

__all__ = ["Completion", "Failure", "RecedingTextPolicy", "TextPolicy"]

Failure = Literal["truncated", "refused", "failed"]


class Completion(str):
    """A completion from an engine that says how it ended: ``Completion(text, failure)``.

    Attributes:
        failure: "truncated" (cut off at the number of tokens), "refused" (by the model or its provider), "failed" (no
            answer arrived), or None. It is the verdict on a text without a plan, in place of the parser's.
    """

    failure: Failure | None

    def __new__(cls, text: str, failure: Failure | None = None) -> Completion:
        completion = super().__new__(cls, text)
        completion.failure = failure
        return completion


class TextPolicy:
    """A policy that prompts with the current state and applies the plan in the completion.

    Args:
        name: the policy's name.
        system: the plant.
        act: maps prompts to completions, such as ``LLMPolicy(...).act``.
        replan_every: controls applied of each plan before the next prompt; None applies the whole plan.
        decimals: states are rounded to that grid, as in training prompts.

    Raises:
        ValueError: ``replan_every`` is less than 1.
    """

    def __init__(
        self,
        name: str,
        system: System,
        act: Callable[[list[str]], Sequence[str]],
        replan_every: int | None = None,
        decimals: int = DECIMALS,
    ):
        if replan_every is not None and replan_every < 1:
            raise ValueError(f"replan_every must be at least 1 or None, not {replan_every}")
        self.name, self._system, self._act = name, system, act
        self._every, self._decimals = replan_every or system.horizon, decimals

    def start(self, x0: Array) -> Controller:
        return _TextController(self._system, self._act, self._every, self._decimals, len(x0))

    def decisions(self, horizon: int) -> int:
        return -(-horizon // self._every)


class _TextController:
    def __init__(self, system: System, act: Callable[..., Sequence[str]], every: int, decimals: int, count: int):
        self._system, self._act, self._every, self._decimals = system, act, every, decimals
        self._plans = np.zeros((count, system.horizon, system.m))
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: Sequence[str] = ()

    def control(self, x: Array, k: int) -> Array:
        if k % self._every == 0:
            self._replan(x)
        return self._plans[:, k % self._every]

    def _replan(self, x: Array) -> None:
        """New plans for the trajectories that are valid so far; the others get zero controls from here on."""
        valid = np.flatnonzero(self.verdicts == OK)
        completions = list(self._act(_prompts(self._system, x[valid], self._decimals)))
        self.completions = self.completions or completions
        self._plans[:] = 0.0
        for i, completion in zip(valid, completions, strict=True):
            parsed = parse_completion(completion, self._system.horizon, self._system.m)
            if parsed.controls is not None:
                self._plans[i] = parsed.controls
            else:
                self.verdicts[i] = getattr(completion, "failure", None) or parsed.verdict


class RecedingTextPolicy:
    """A text policy that replans at every step and generates each completion only up to its first control.

    Controls equal those of ``TextPolicy(..., replan_every=1)`` as long as the whole completions would hold plans: what
    follows the first control is never generated, and so never parsed.

    Args:
        name: the policy's name.
        system: the plant.
        begin: ``begin(prompts, drafts)`` gives completions up to their first control; ``drafts`` are those of the same
            trajectories one step before (None at the first step). For example
            `llm_agent.policies.receding.FirstControls`.
        decimals: as for `TextPolicy`.
    """

    def __init__(
        self,
        name: str,
        system: System,
        begin: Callable[[list[str], list[str] | None], Sequence[str]],
        decimals: int = DECIMALS,
    ):
        self.name, self._system, self._begin, self._decimals = name, system, begin, decimals

    def start(self, x0: Array) -> Controller:
        return _RecedingTextController(self._system, self._begin, self._decimals, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _RecedingTextController:
    def __init__(self, system: System, begin: Callable[..., Sequence[str]], decimals: int, count: int):
        self._system, self._begin, self._decimals = system, begin, decimals
        self._drafts: list[str] | None = None
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: Sequence[str] = ()

    def control(self, x: Array, k: int) -> Array:
        self._drafts = list(self._begin(_prompts(self._system, x, self._decimals), self._drafts))
        u = np.zeros((len(x), self._system.m))
        for i, draft in enumerate(self._drafts):
            parsed = parse_completion(draft + END_CONTROLS, 1, self._system.m)
            if self.verdicts[i] == OK:
                self.verdicts[i] = parsed.verdict
            if parsed.controls is not None:
                u[i] = parsed.controls[0]
        return u


def _prompts(system: System, x: Array, decimals: int) -> list[str]:
    """The prompts of states (S, n), rounded to the grid."""
    rounded = np.round(x, decimals) + 0.0  # without negative zeros
    return [format_prompt(system, state, decimals) for state in rounded]
