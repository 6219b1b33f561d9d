"""Text policies: anything that answers prompts with completions, in open loop or asked again on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from baselines.controllers.policy import OK, Controller
from control_envs import System
from control_envs.text import DECIMALS, END_CONTROLS, format_prompt, parse_completion
from control_envs.utils.types import Array


class TextPolicy:
    """A text policy: the prompt of the state reached in, a completion with a whole plan out.

    Args:
        act: prompts to completions, such as ``LLMPolicy(...).act``.
        replan_every: controls played of each plan before it is asked again; None plays the whole plan.
        decimals: the state is rounded to that grid before it is printed, which is what models are trained on.
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

    def start(self, x0: Array) -> _TextController:
        return _TextController(self._system, self._act, self._every, self._decimals, len(x0))

    def decisions(self, horizon: int) -> int:
        return -(-horizon // self._every)


class _TextController:
    """Attributes: ``completions``, the answers to each trajectory's first prompt."""

    def __init__(self, system: System, act: Callable[..., Sequence[str]], every: int, decimals: int, count: int):
        self._system, self._act, self._every, self._decimals = system, act, every, decimals
        self._plans = np.zeros((count, system.horizon, system.m))
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: list[str] = []

    def control(self, x: Array, k: int) -> Array:
        if k % self._every == 0:
            self._ask(x)
        return self._plans[:, k % self._every]

    def _ask(self, x: Array) -> None:
        """New plans for the trajectories that have answered so far; a trajectory without a plan plays zeros from here on."""
        asked = np.flatnonzero(self.verdicts == OK)
        completions = list(self._act(_prompts(self._system, x[asked], self._decimals)))
        self.completions = self.completions or completions
        self._plans[:] = 0.0
        for i, completion in zip(asked, completions, strict=True):
            parsed = parse_completion(completion, self._system.horizon, self._system.m)
            self.verdicts[i] = parsed.verdict
            if parsed.controls is not None:
                self._plans[i] = parsed.controls


class RecedingTextPolicy:
    """A text policy that is asked at every step, for no more of its answer than the first control.

    It flies as ``TextPolicy(..., replan_every=1)`` does with the whole answers, as long as these hold plans: what comes
    after the first control is never written, and so not judged.

    Args:
        begin: ``begin(prompts, drafts)`` gives answers as far as their first control; ``drafts`` are its answers for
            the same trajectories one step before (None at first). `llm_agent.policies.receding.FirstControls` is one.
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

    def control(self, x: Array, k: int) -> Array:
        self._drafts = list(self._begin(_prompts(self._system, x, self._decimals), self._drafts))
        u = np.zeros((len(x), self._system.m))
        for i, beginning in enumerate(self._drafts):
            parsed = parse_completion(beginning + END_CONTROLS, 1, self._system.m)
            if self.verdicts[i] == OK:
                self.verdicts[i] = parsed.verdict
            if parsed.controls is not None:
                u[i] = parsed.controls[0]
        return u


def _prompts(system: System, x: Array, decimals: int) -> list[str]:
    """What a text policy is told of states (S, n), rounded to the grid."""
    return [format_prompt(system, state, decimals) for state in np.round(x, decimals) + 0.0]  # no negative zero
