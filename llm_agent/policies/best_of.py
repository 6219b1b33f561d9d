"""Best of N: samples several answers to each problem and plays the one with the highest reward.

The reward is computed exactly from the plant's model, so it can select answers as well as train a model. The reward of
the best of N estimates what further training could reach: if it is far above that of one answer, GRPO has room to
improve (compare pass@k for tasks that are either solved or not; Yue et al., arXiv 2504.13837). Unlike the other
open-loop policies, and like MPC, best of N uses the plant's model when it decides.
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

__all__ = ["BestOf"]


@dataclass
class BestOf:
    """A text policy that samples ``count`` answers to each problem and plays the best plan to its end.

    Attributes:
        name: the policy's name.
        system: the plant.
        act: maps prompts to sampled completions.
        count: answers to each problem, at least 1.
        version: the version of the reward that selects.

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
        """Starts a batch from x0 (S, n); answers are scored from the initial states as prompts print them."""
        printed = np.round(x0, DECIMALS)
        return TextPolicy(self.name, self.system, lambda prompts: self._best(prompts, printed)).start(x0)

    def decisions(self, horizon: int) -> int:
        """1, since the whole plan is chosen at once."""
        return 1

    def _best(self, prompts: list[str], x0: Array) -> list[str]:
        """The best completion for each of S prompts, with initial states (S, n)."""
        repeated = [prompt for prompt in prompts for _ in range(self.count)]
        completions = list(self.act(repeated))
        scores = score_completions(self.system, np.repeat(x0, self.count, axis=0), completions, self.version).total
        best = scores.reshape(-1, self.count).argmax(axis=1)
        return [completions[i * self.count + j] for i, j in enumerate(best)]
