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

from control_envs import System
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import Split
from llm_agent.integrations.core import HOW, Reward, make_problems
from llm_agent.integrations.episode import Episode

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["HOW", "ControlEnvironment", "environments", "questions"]


class ControlEnvironment:
    """One trajectory, controlled by calls of the tool `play`.

    Args:
        system: a plant or its name; a row's ``system`` must be the same plant.
        reward_version: the version of the reward that `get_reward` returns.
        scaled: scale the reward to [0, 1], as `Reward` does.

    Raises:
        ValueError: there is no such plant or version, or the version cannot be scaled.
    """

    def __init__(
        self,
        system: str | System = "double_integrator",
        reward_version: str = DEFAULT_VERSION,
        scaled: bool = False,
    ):
        self._episode = Episode(system, Reward(reward_version, scaled))

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
        own_name = self._episode.system.name
        if system not in (None, own_name):
            raise ValueError(
                f"a row of {system} was given to an environment of {own_name}: give TRL a dictionary of environments, "
                "environments([...]), and rows from questions([...])"
            )
        self._episode.reset(x0)

    # The model reads this docstring as the description of the tool: a change in it changes the prompt.
    def play(self, controls: list[float]) -> str:
        """Plays the next controls, one every time step, and tells the state that they lead to.

        Args:
            controls: The next controls in the order of time; for a plant with several, all of one step and then all of
                the next.

        Returns:
            The state reached and the number of controls left.
        """
        return self._episode.play(controls)

    def get_reward(self) -> float:
        """The trajectory's score; an unfinished trajectory scores like a plan with a wrong number of controls."""
        return self._episode.score()


def environments(systems: Sequence[str], reward_version: str = DEFAULT_VERSION, scaled: bool = False) -> dict[str, Any]:
    """Environment factories by plant, for rows whose column ``environment`` names one (`questions` makes such rows)."""
    return {name: partial(ControlEnvironment, name, reward_version, scaled) for name in systems}


def questions(systems: list[str], count: int, split: Split = "train", seed: int = 0) -> Dataset:
    """Conversational prompts with plant and initial state: the columns ``prompt, system, environment, x0``."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": problem.tool_prompt}],
                "system": problem.system,
                "x0": list(problem.x0),
                "environment": problem.system,
            }
            for problem in make_problems(",".join(systems), count, split, seed)
        ]
    )
