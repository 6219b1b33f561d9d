"""The environment as TRL's ``environment_factory`` wants it: a model flies in closed loop, by calling a tool.

    GRPOTrainer(model, train_dataset=questions(["double_integrator"], 1000), environment_factory=Trajectory, ...)

The model is told the problem, calls ``play`` with the next controls, is told the state that they led to, and calls
again until all are played. A plan for the whole trajectory in one call is the one-shot problem; one control a call is
receding-horizon control. It needs a model whose chat template has tools (Qwen3's has).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import System, get_system
from control_envs.envs import ControlEnv
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import Split
from control_envs.text import DECIMALS, format_instruction, format_prompt
from control_envs.text.scoring import invalid_terms
from llm_agent.data.demonstrations import make_prompts

if TYPE_CHECKING:
    from datasets import Dataset

HOW = (
    "Call play with the next controls, as many as you like ({m} number{s} each, {names}); it answers with the state "
    "reached. Play {horizon} in all."
)


class ControlEnvironment:
    """One trajectory that is steered by calls of `play`.

    Args:
        system: a plant or its name; a row's ``system`` must be the same.
        reward_version: the version that `get_reward` scores by.
    """

    def __init__(self, system: str | System = "double_integrator", reward_version: str = DEFAULT_VERSION):
        self._env = ControlEnv(system, reward_version, action_units="physical")
        self._return, self._over = 0.0, True

    def reset(self, x0: Sequence[float] | None = None, system: str | None = None, **row: Any) -> None:
        """Starts a trajectory from x0 (n,); TRL gives the row of the dataset.

        Raises:
            ValueError: the row is of another plant, or x0 is outside the plant's box.
        """
        mine = self._env.system.name
        if system not in (None, mine):
            raise ValueError(
                f"a row of {system} was given to a trajectory of {mine}: give TRL a dictionary of environments, "
                "environments([...]), and rows from questions([...])"
            )
        self._env.reset(options=None if x0 is None else {"x0": x0})
        self._return, self._over = 0.0, False

    def play(self, controls: list[float]) -> str:
        """Plays the next controls, one every time step, and tells the state that they lead to.

        Args:
            controls: The next controls in the order of time; for a plant with several, all of one step and then all of
                the next.

        Returns:
            The state reached and the number of controls left.
        """
        system = self._env.system
        if self._over:
            raise ValueError("the trajectory is over")
        rows = np.asarray(controls, dtype=np.float64).ravel()
        if len(rows) == 0 or len(rows) % system.m or not np.isfinite(rows).all():
            raise ValueError(f"controls must be finite numbers, {system.m} for each step")
        left = system.horizon - self._env.trajectory.horizon
        if len(rows) // system.m > left:
            raise ValueError(f"only {left} controls are left to play")
        for u in rows.reshape(-1, system.m):
            x, reward, self._over, _, _ = self._env.step(u)
            self._return += reward
            left -= 1
        state = ", ".join(f"{name}={value:.{DECIMALS}f}" for name, value in zip(system.state_names, x, strict=True))
        return f"{state}; {left} controls left"

    def get_reward(self) -> float:
        """The whole trajectory's score; one that was not flown to its end is an answer with a wrong count."""
        if self._over:
            return self._return
        return float(sum(invalid_terms("wrong_count", self._env.reward_spec).values()))


def environments(systems: Sequence[str], reward_version: str = DEFAULT_VERSION) -> dict[str, Any]:
    """Environments of several plants by name, for rows whose ``environment`` says which (`questions` makes such)."""
    return {name: partial(ControlEnvironment, name, reward_version) for name in systems}


def questions(systems: list[str], count: int, split: Split = "train", seed: int = 0) -> Dataset:
    """Conversational prompts with their plant and initial state: ``prompt, system, environment, x0``."""

    def ask(row: dict[str, Any]) -> dict[str, Any]:
        system = get_system(row["system"])
        problem = format_prompt(system, row["x0"]).removesuffix(format_instruction(system))
        names = ", ".join(system.control_names)
        how = HOW.format(m=system.m, s="s" * (system.m > 1), names=names, horizon=system.horizon)
        return {"prompt": [{"role": "user", "content": problem + how}], "environment": system.name}

    return make_prompts(systems, count, split, seed).map(ask)
