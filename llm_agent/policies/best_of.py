"""Several answers to each problem, of which the one that the environment scores highest is played.

The reward is exact and needs no sensor, so it can pick an answer as well as train on it. What the best of N earns says
what a policy could be sharpened to: where it is far above one answer, there is something left for GRPO to find
(pass@k is its counterpart for tasks that are solved or not; Yue et al., arXiv 2504.13837). It is no open-loop policy in
the sense of the others: like MPC, it has the plant's model at hand when it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from baselines.controllers.policy import Controller
from baselines.controllers.text import TextPolicy
from control_envs import System, score_completions
from control_envs.rewards import DEFAULT_VERSION
from control_envs.text import DECIMALS
from control_envs.utils.types import Array


@dataclass
class BestOf:
    """A text policy that is asked ``count`` times and plays its best plan to the end.

    Attributes:
        name: the policy's name.
        system: the plant.
        act: prompts to sampled completions.
        count: answers to each problem.
        version: of the reward that picks.

    Raises:
        ValueError: count is less than 1.
    """

    name: str
    system: System
    act: Callable[[list[str]], Sequence[str]]
    count: int
    version: str = DEFAULT_VERSION

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"best_of must be at least 1, not {self.count}")

    def start(self, x0: Array) -> Controller:
        """Picks from the states as prompts print them."""
        printed = np.round(x0, DECIMALS)
        return TextPolicy(self.name, self.system, lambda prompts: self._best(prompts, printed)).start(x0)

    def decisions(self, horizon: int) -> int:
        """One: the whole plan."""
        return 1

    def _best(self, prompts: list[str], x0: Array) -> list[str]:
        """The best completion for each of S prompts from states (S, n)."""
        asked = [prompt for prompt in prompts for _ in range(self.count)]
        completions = list(self.act(asked))
        scores = score_completions(self.system, np.repeat(x0, self.count, axis=0), completions, self.version).total
        best = scores.reshape(-1, self.count).argmax(axis=1)
        return [completions[i * self.count + j] for i, j in enumerate(best)]
