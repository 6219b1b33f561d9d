"""The control problems as a task of Inspect AI (``pip install inspect-ai``): by one text, or in closed loop by a tool.

`examples/inspect_control.py` is the file for the command ``inspect eval``.
"""

from __future__ import annotations

from typing import Any

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver
from inspect_ai.tool import Tool, ToolError, tool

from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import Split
from llm_agent.integrations.core import Problem, Reward, make_problems
from llm_agent.integrations.episode import Episode

__all__ = ["by_tool", "control_score", "control_task", "play"]


@tool
def play(state: TaskState) -> Tool:
    """The tool that plays controls in the trajectory of a sample."""

    async def execute(controls: list[float]) -> str:
        """Plays the next controls, one every time step, and tells the state that they lead to.

        Args:
            controls: The next controls in the order of time; for a plant with several, all of one step and then all of
                the next.
        """
        try:
            reached = _episode(state).play(controls)
        except ValueError as error:
            raise ToolError(str(error)) from error
        state.store.set("controls", [*state.store.get("controls", []), *controls])
        return reached

    return execute


@solver
def by_tool() -> Solver:
    """Lets the model call `play` until it says something else."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.tools = [play(state)]
        return await generate(state)

    return solve


@scorer(metrics={"reward": [mean(), stderr()], "success": [mean(), stderr()]})
def control_score(reward: Reward, closed_loop: bool) -> Scorer:
    """The reward and the success of a text, or of the trajectory that the tool calls played."""

    async def score(state: TaskState, target: Target) -> Score:
        if closed_loop:
            episode = _episode(state, reward)
            return Score(value={"reward": episode.score(), "success": float(episode.success)})
        answer = reward.answer(_problem(state), state.output.completion)
        return Score(value={"reward": answer.reward, "success": float(answer.success)}, explanation=answer.verdict)

    return score


def control_task(
    system: str = "double_integrator",
    split: Split = "test",
    count: int = 500,
    seed: int = 0,
    closed_loop: bool = False,
    reward_version: Any = DEFAULT_VERSION,
    scaled: bool = False,
) -> Task:
    """The problems of one split as a task.

    Args:
        system: plants, separated by commas, or all.
        split: the split of the initial states; "test" is held out.
        count: number of problems.
        seed: of the initial states.
        closed_loop: by calls of the tool `play`.
        reward_version: a key of `control_envs.REWARDS`.
        scaled: scale the reward to [0, 1].

    Raises:
        ValueError: there is no such plant, split or version, the version cannot be scaled, or count is not positive.
    """
    reward = Reward(str(reward_version), scaled)  # a command line makes a number of it
    samples = [
        Sample(
            input=problem.tool_prompt if closed_loop else problem.prompt,
            metadata={"system": problem.system, "x0": list(problem.x0)},
        )
        for problem in make_problems(system, count, split, seed)
    ]
    solving = by_tool() if closed_loop else generate()
    return Task(dataset=samples, solver=solving, scorer=control_score(reward, closed_loop), message_limit=200)


def _problem(state: TaskState) -> Problem:
    return Problem(state.metadata["system"], tuple(state.metadata["x0"]))


def _episode(state: TaskState, reward: Reward | None = None) -> Episode:
    return Episode.replay(_problem(state), state.store.get("controls", []), reward)
