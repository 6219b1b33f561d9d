"""The environment for TRL's ``environment_factory``: a model controls the plant in closed loop by calling a tool.

    dataset = questions(["double_integrator"], 1000)
    GRPOTrainer(model, train_dataset=dataset, environment_factory=ControlEnvironment, ...)

The model reads the problem, calls the tool ``play`` with the next controls, gets the state they lead to, and calls
again until all controls are played. One call with a whole plan is open-loop control; one control a call is
receding-horizon control. The model's chat template must support tools (Qwen3's does).
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
from llm_agent.data.prompts import make_prompts

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["HOW", "ControlEnvironment", "environments", "questions"]

HOW = (
    "Call play with the next controls, as many as you like ({m} number{s} each, {names}); it answers with the state "
    "reached. Play {horizon} in all."
)


class ControlEnvironment:
    """One trajectory, controlled by calls of the tool `play`.

    Args:
        system: a plant or its name; a row's ``system`` must be the same plant.
        reward_version: the version of the reward that `get_reward` returns.
    """

    def __init__(self, system: str | System = "double_integrator", reward_version: str = DEFAULT_VERSION):
        self._env = ControlEnv(system, reward_version, action_units="physical")
        self._return, self._over = 0.0, True

    def reset(self, x0: Sequence[float] | None = None, system: str | None = None, **row: Any) -> None:
        """Starts a trajectory; TRL passes the row of the dataset.

        Args:
            x0: the initial state (n,); None, without a row, draws one.
            system: the name of the row's plant.
            row: the other columns, which are ignored.

        Raises:
            ValueError: the row has no initial state or belongs to another plant, or x0 is outside the plant's bounds.
        """
        if row and x0 is None:  # its prompt states a state, which another one must not replace
            raise ValueError("no x0: the environment needs the columns system and x0, as questions([...]) writes them")
        own_name = self._env.system.name
        if system not in (None, own_name):
            raise ValueError(
                f"a row of {system} was given to an environment of {own_name}: give TRL a dictionary of environments, "
                "environments([...]), and rows from questions([...])"
            )
        self._env.reset(options=None if x0 is None else {"x0": x0})
        self._return, self._over = 0.0, False

    # The model reads this docstring as the description of the tool: a change in it changes the prompt.
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
        """The trajectory's score; an unfinished trajectory scores like a plan with a wrong number of controls."""
        if self._over:
            return self._return
        return float(sum(invalid_terms("wrong_count", self._env.reward_spec).values()))


def environments(systems: Sequence[str], reward_version: str = DEFAULT_VERSION) -> dict[str, Any]:
    """Environment factories by plant, for rows whose column ``environment`` names one (`questions` makes such rows)."""
    return {name: partial(ControlEnvironment, name, reward_version) for name in systems}


def questions(systems: list[str], count: int, split: Split = "train", seed: int = 0) -> Dataset:
    """Conversational prompts with plant and initial state: the columns ``prompt, system, environment, x0``."""

    def to_conversation(row: dict[str, Any]) -> dict[str, Any]:
        system = get_system(row["system"])
        problem = format_prompt(system, row["x0"]).removesuffix(format_instruction(system))
        names = ", ".join(system.control_names)
        instruction = HOW.format(m=system.m, s="s" * (system.m > 1), names=names, horizon=system.horizon)
        return {"prompt": [{"role": "user", "content": problem + instruction}], "environment": system.name}

    return make_prompts(systems, count, split, seed).map(to_conversation)
