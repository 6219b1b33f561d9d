"""What all integrations share: problems to ask, and the reward of answers. `episode` has the same for closed loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from control_envs import REWARDS, format_prompt, get_reward, get_system, score_completions
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems import get_systems
from control_envs.systems.initial_states import Split
from control_envs.text import Verdict, format_instruction
from llm_agent.data.prompts import list_prompts

__all__ = ["HOW", "Answer", "Problem", "Reward", "make_problems"]

HOW = (
    "Call play with the next controls, as many as you like ({m} number{s} each, {names}); it answers with the state "
    "reached. Play {horizon} in all."
)


@dataclass(frozen=True)
class Problem:
    """A plant and the initial state from which a model has to control it.

    Attributes:
        system: the plant's name, which may state settings: ``van_der_pol(mu=2)``.
        x0: the initial state (n,).
    """

    system: str
    x0: tuple[float, ...]

    @property
    def prompt(self) -> str:
        """The problem, to be answered by one text with all controls."""
        return format_prompt(get_system(self.system), self.x0)

    @property
    def tool_prompt(self) -> str:
        """The problem, to be answered by calls of the tool ``play``."""
        system = get_system(self.system)
        names = ", ".join(system.control_names)
        how = HOW.format(m=system.m, s="s" * (system.m > 1), names=names, horizon=system.horizon)
        return self.prompt.removesuffix(format_instruction(system)) + how


@dataclass(frozen=True)
class Answer:
    """The score of a text.

    Attributes:
        reward: as `Reward` has it.
        verdict: the parser's: "ok", or why the text holds no plan.
        success: the plan ends within 0.1 of the origin (scaled) and violates no bound.
        terms: the terms of the reward by name, unscaled.
    """

    reward: float
    verdict: Verdict
    success: bool
    terms: dict[str, float]


@dataclass(frozen=True)
class Reward:
    """The reward for a trainer: a published version as it is, or scaled to [0, 1].

    Scaled, 0 is the worst that any text can get and 1 the version's upper bound. For version 1.3 that is
    (reward + 10) / 173: no answer 0, a wrong number of controls 0.03, any plan from 0.23 to 1. The scale is linear, so
    advantages that are divided by their standard deviation do not change.

    Args:
        version: a key of `control_envs.REWARDS`.
        scaled: scale to [0, 1].

    Raises:
        ValueError: there is no such version, or it has no lower bound and cannot be scaled.
    """

    version: str = DEFAULT_VERSION
    scaled: bool = False

    def __post_init__(self) -> None:
        spec = get_reward(self.version)
        if self.scaled and not np.isfinite(spec.bounds).all():
            bounded = " or ".join(version for version, other in REWARDS.items() if np.isfinite(other.bounds).all())
            raise ValueError(f"scaled: reward version {self.version} has no lower bound; choose {bounded}")

    def scale(self, reward: float) -> float:
        """An unscaled reward on this reward's scale."""
        if not self.scaled:
            return float(reward)
        spec = get_reward(self.version)
        low, high = min(spec.no_answer, spec.wrong_count, spec.bounds[0]), spec.bounds[1]
        return float((reward - low) / (high - low))

    def answers(self, problems: Sequence[Problem], completions: Sequence[str]) -> list[Answer]:
        """Scores B texts, each the answer to its own problem; no text raises.

        Raises:
            ValueError: a problem's x0 does not fit its plant.
        """
        scored: list[Answer | None] = [None] * len(completions)
        by_plant: dict[str, list[int]] = {}
        for i, problem in enumerate(problems):
            by_plant.setdefault(problem.system, []).append(i)
        for name, rows in by_plant.items():
            x0: ArrayLike = [problems[i].x0 for i in rows]
            scores = score_completions(get_system(name), x0, [completions[i] for i in rows], self.version)
            success = np.zeros(len(rows), dtype=bool)
            success[scores.valid] = scores.metrics.success
            for k, i in enumerate(rows):
                terms = {term: float(values[k]) for term, values in scores.terms.items()}
                scored[i] = Answer(self.scale(scores.total[k]), scores.verdicts[k], bool(success[k]), terms)
        return [answer for answer in scored if answer is not None]

    def answer(self, problem: Problem, completion: str) -> Answer:
        """Scores one text."""
        return self.answers([problem], [completion])[0]


def make_problems(systems: str, count: int, split: Split = "train", seed: int = 0) -> list[Problem]:
    """``count`` problems, divided evenly among the plants and shuffled; the same as `make_prompts` draws.

    Args:
        systems: plants as ``--system`` takes them: a name, several separated by commas, or "all".
        count: number of problems.
        split: the split of initial states: "train", "validation" or "test", which have no state in common.
        seed: the seed of the initial states and of the order.

    Raises:
        ValueError: there is no such plant or split, or count is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    names = [system.name for system in get_systems(systems)]
    return [Problem(row["system"], tuple(row["x0"])) for row in list_prompts(names, count, split, seed)]
