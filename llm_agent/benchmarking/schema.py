"""The result of the benchmark as JSON: its schema and its score.

The score of a plan is J*/J, the least possible cost over its own, if it brings the plant to the origin within its
bounds, and 0 otherwise. A cell's score is the mean over its initial states, the score of an entry the mean over all
cells of the suite, both times 100. The optimum scores 100; no control and random controls score about 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from baselines.evaluation.statistics import RESAMPLES
from control_envs.utils.types import Array
from llm_agent.benchmarking.prompts import PromptVariant
from llm_agent.benchmarking.suites import MODES, Mode, Suite

__all__ = ["Cell", "Entry", "Kind", "PerState", "Result", "interval_of"]

Kind = Literal["controller", "model", "endpoint", "callable"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PerState(_Record):
    """One value for each initial state, None where there is none.

    Attributes:
        success: whether the plan reached the origin and kept the bounds.
        cost_ratio: J/J*, where the plan succeeded.
        reward: of version 1.3.
    """

    success: list[bool]
    cost_ratio: list[float | None]
    reward: list[float | None]


class Cell(_Record):
    """One plant in one mode.

    Attributes:
        system: the plant's name, with its settings.
        mode: "open-loop" (one plan from each initial state) or "closed-loop" (five, each from the state reached).
        fingerprint: a hash of the plant and its initial states.
        score: 100 times the mean of J*/J of the plans that succeed, the others counting 0.
        parsed: share of initial states with an answer that holds a plan.
        success: share of initial states with a plan that succeeds.
        verdicts: how many answers were read, and why the others were not.
        per_state: the values by initial state.
    """

    system: str
    mode: Mode
    fingerprint: str
    score: float = Field(ge=0, le=100)
    parsed: float = Field(ge=0, le=1)
    success: float = Field(ge=0, le=1)
    verdicts: dict[str, int]
    per_state: PerState

    def scores(self) -> Array:
        """J*/J of each initial state, 0 where the plan does not succeed."""
        ratios = np.array([np.inf if ratio is None else max(ratio, 1.0) for ratio in self.per_state.cost_ratio])
        return np.where(self.per_state.success, 1 / ratios, 0.0)


class Entry(_Record):
    """One policy.

    Attributes:
        policy: its name in the leaderboard.
        kind: what it is.
        prompt: the variant of the prompt; None for policies that read states.
        settings: everything else that decides its answers: sampling, tokens, engine, where it comes from.
        cells: its results.
        tokens: prompt and completion tokens, where a server counted them.
        seconds: spent on its rollouts.
    """

    policy: str
    kind: Kind
    prompt: PromptVariant | None
    settings: dict[str, Any] = {}
    cells: list[Cell] = []
    tokens: dict[str, int] = {}
    seconds: float = 0.0

    def identity(self) -> tuple[str, str, str | None]:
        """What tells entries of one result apart."""
        return self.policy, self.kind, self.prompt

    def cell(self, system: str, mode: Mode) -> Cell | None:
        """The cell of a plant in a mode, or None."""
        return next((cell for cell in self.cells if (cell.system, cell.mode) == (system, mode)), None)

    def spend(self, seconds: float, tokens: Mapping[str, int]) -> None:
        """Adds seconds and tokens to those spent so far."""
        self.seconds = round(self.seconds + seconds, 2)
        for part, count in tokens.items():
            self.tokens[part] = self.tokens.get(part, 0) + count

    def is_complete(self, suite: Suite) -> bool:
        """Whether every cell of the suite is there."""
        return all(self.cell(system, mode) for system in suite.systems for mode in MODES)

    def score(self, suite: Suite) -> float | None:
        """The mean score of all cells; None while one is missing."""
        return float(np.mean([cell.score for cell in self.cells])) if self.is_complete(suite) else None

    def interval(self) -> tuple[float, float]:
        """The 95 % bootstrap interval of the mean score, over initial states within each cell."""
        return interval_of(self.cells)


def interval_of(cells: Sequence[Cell]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean score of cells, over initial states within each."""
    rng = np.random.default_rng(0)
    means = np.zeros(RESAMPLES)
    for cell in cells:
        scores = cell.scores()
        means += 100 * scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))].mean(axis=1)
    low, high = np.quantile(means / max(len(cells), 1), [0.025, 0.975])
    return float(low), float(high)


class Result(_Record):
    """A file of results.

    Attributes:
        schema_version: of this format.
        suite: the name of a suite.
        suite_version: the suite's version.
        created: when, in UTC.
        software: versions of Python and of the packages that decide a result.
        machine: processor and operating system.
        entries: the policies.
    """

    schema_version: Literal["control-grpo benchmark result 1"] = "control-grpo benchmark result 1"
    suite: str
    suite_version: str
    created: str
    software: dict[str, str]
    machine: str
    entries: list[Entry] = []

    def entry(self, like: Entry) -> Entry:
        """The entry with the identity of ``like``, which is added if there is none."""
        for entry in self.entries:
            if entry.identity() == like.identity():
                return entry
        self.entries.append(like)
        return like
