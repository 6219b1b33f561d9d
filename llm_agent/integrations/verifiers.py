"""The control problems as a taskset of verifiers (``pip install verifiers``): by one text, or in closed loop by a tool.

verifiers finds a taskset by the name of an importable module that lists it in ``__all__``. That module is
``examples/verifiers_control``, a package as the Environments Hub wants it; here is what it contains.
"""

# No postponed annotations: verifiers reads a tool's signature as it stands.

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import Split
from llm_agent.integrations.core import Problem, Reward, make_problems
from llm_agent.integrations.episode import Episode

__all__ = ["ControlState", "ControlTaskset", "ControlToolset", "ControlVerifiersEnv", "load_environment"]


class ControlState(vf.State):
    """A trajectory in closed loop, which the tool server and the reward share: where it starts, what was played."""

    system: str = ""
    x0: list[float] = Field(default_factory=list)
    controls: list[float] = Field(default_factory=list)

    def episode(self, reward: Reward | None = None) -> Episode:
        """The trajectory up to now."""
        return Episode.replay(Problem(self.system, tuple(self.x0)), self.controls, reward)


class ControlToolset(vf.Toolset[vf.SharedToolsetConfig, ControlState]):
    """The tool server: one for all trajectories."""

    TOOL_PREFIX = None

    @vf.tool
    def play(self, controls: list[float]) -> str:
        """Plays the next controls, one every time step, and tells the state that they lead to.

        For a plant with several controls, all of one step and then all of the next. An invalid call plays nothing.
        """
        try:
            reached = self.state.episode().play(controls)
        except ValueError as error:
            return f"error: {error}"
        self.state.controls = [*self.state.controls, *controls]
        return reached


class ControlData(vf.TaskData):
    """A problem: the plant, the initial state (n,), and how it is to be answered."""

    system: str
    x0: list[float]
    closed_loop: bool


class ControlTaskConfig(vf.TaskConfig):
    """The reward, as `llm_agent.integrations.core.Reward` has it: ``--env.taskset.task.scaled true``."""

    reward_version: str = DEFAULT_VERSION
    scaled: bool = False


class ControlTask(vf.Task[ControlData, ControlState, ControlTaskConfig]):
    """One problem and its reward."""

    async def setup(self, trace: vf.Trace, runtime: vf.Runtime) -> None:
        """Tells the tool server where the trajectory starts."""
        trace.state.system, trace.state.x0 = self.data.system, self.data.x0

    @vf.reward
    async def control(self, trace: vf.Trace) -> float:
        """The environment's reward: of the last text, or of the trajectory that the tool calls played."""
        reward = Reward(self.config.reward_version, self.config.scaled)
        if self.data.closed_loop:
            episode = trace.state.episode(reward)
            trace.info["controls"] = trace.state.controls
            trace.record_metric("success", float(episode.success))
            return episode.score()
        answer = reward.answer(Problem(self.data.system, tuple(self.data.x0)), trace.last_reply)
        trace.info["verdict"] = answer.verdict
        trace.record_metric("success", float(answer.success))
        return answer.reward


class ControlConfig(vf.TasksetConfig):
    """Which problems, and how they are answered: ``--env.taskset.system all --env.taskset.closed-loop true``."""

    system: str = "double_integrator"  # plants, separated by commas, or all
    split: Split = "test"  # held-out initial states; "train" for training
    count: int = 500
    seed: int = 0
    closed_loop: bool = False  # by calls of the tool play
    tools: vf.SharedToolsetConfig = vf.SharedToolsetConfig()
    task: ControlTaskConfig = ControlTaskConfig()


class ControlTaskset(vf.Taskset[ControlTask, ControlConfig]):
    """The problems of one split."""

    @classmethod
    def toolsets(cls, config: ControlConfig) -> list[vf.Toolset]:
        """The tool server, in closed loop."""
        return [ControlToolset(config.tools)] if config.closed_loop else []

    def load(self) -> Iterator[ControlTask]:
        """Yields the problems.

        Raises:
            ValueError: there is no such plant, split or reward version, the version cannot be scaled, or count is not
                positive.
        """
        config = self.config
        Reward(config.task.reward_version, config.task.scaled)
        for problem in make_problems(config.system, config.count, config.split, config.seed):
            prompt = problem.tool_prompt if config.closed_loop else problem.prompt
            data = ControlData(
                prompt=prompt, system=problem.system, x0=list(problem.x0), closed_loop=config.closed_loop
            )
            yield ControlTask(data, config.task)


class ControlEnvConfig(vf.SingleAgentEnvConfig):
    """One agent that only chats: it runs no code and needs no sandbox. A closed loop ends after 100 turns."""

    agent: vf.AgentConfig = vf.AgentConfig(harness={"id": "null"}, runtime=vf.SubprocessConfig(), max_turns=100)


class ControlVerifiersEnv(vf.SingleAgentEnv, vf.Env[ControlEnvConfig]):
    """The environment: one agent, one problem."""


def load_environment(
    taskset_id: str, reward_version: str = DEFAULT_VERSION, scaled: bool = False, **settings: Any
) -> vf.Env:
    """The environment from Python, with settings by name.

    Args:
        taskset_id: the importable module that lists the taskset in ``__all__``.
        reward_version: a key of `control_envs.REWARDS`.
        scaled: scale the reward to [0, 1].
        settings: fields of `ControlConfig`: ``system, split, count, seed, closed_loop``.

    Raises:
        ValueError: a setting is unknown or of the wrong type, there is no such version, or it cannot be scaled.
    """
    Reward(reward_version, scaled)
    task = ControlTaskConfig(reward_version=reward_version, scaled=scaled)
    return vf.load_environment(ControlEnvConfig(taskset=ControlConfig(id=taskset_id, task=task, **settings)))


if __name__ == "__main__":  # verifiers starts the tool server by the name of its module
    ControlToolset.run()
