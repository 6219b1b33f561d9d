"""The control problems as an OpenEnv environment (``pip install openenv``): the server's app and the client.

    uvicorn --factory llm_agent.integrations.openenv:make_app --port 8000

    with ControlClient(base_url="http://localhost:8000").sync() as client:
        prompt = client.reset(system="van_der_pol", seed=0).observation.prompt
        result = client.step(ControlAction(completion=answer_of_a_model(prompt)))

A model answers by one text with all controls, or in closed loop: some controls a step, until none is left. The reward
comes with the last step; all others have 0. ``examples/openenv_control`` is the folder for OpenEnv's own commands.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np
from fastapi import FastAPI
from openenv.core import EnvClient
from openenv.core.client_types import StepResult
from openenv.core.env_server import Environment, create_app
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field, model_validator

from control_envs import get_system
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import Split
from llm_agent.integrations.core import Answer, Problem, Reward, make_problems
from llm_agent.integrations.episode import Episode

__all__ = ["ControlAction", "ControlClient", "ControlObservation", "ControlOpenEnv", "ControlState", "make_app"]


class ControlAction(Action):
    """Either the model's whole answer as a text, or the next controls."""

    completion: str | None = Field(None, description="a text with all controls; it ends the episode")
    controls: list[float] | None = Field(
        None, description="the next controls; of a plant with several, all of one step and then all of the next"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ControlAction:
        if (self.completion is None) == (self.controls is None):
            raise ValueError("an action has either a completion or controls")
        return self


class ControlObservation(Observation):
    """What a model is told, and what a trainer wants to know."""

    prompt: str = Field("", description="after reset: the problem, to be answered by one text")
    tool_prompt: str = Field("", description="after reset: the problem, to be answered some controls at a time")
    message: str = Field("", description="the state reached, or why nothing was played")
    left: int = Field(0, description="number of controls left to play")
    x: list[float] = Field(default_factory=list, description="the state (n,); after a completion, where it started")
    verdict: str = Field("", description="of a completion: ok, or why it holds no plan")
    success: bool = Field(False, description="the plan ended within 0.1 of the origin (scaled) and violated no bound")


class ControlState(State):
    """The episode's problem and its score, which counts an unfinished trajectory as a wrong number of controls."""

    system: str = ""
    x0: list[float] = Field(default_factory=list)
    score: float = 0.0


class ControlOpenEnv(Environment[ControlAction, ControlObservation, ControlState]):
    """One trajectory of a plant at a time.

    Args:
        system: the plant where a reset names none.
        reward_version: a key of `control_envs.REWARDS`.
        scaled: scale the reward to [0, 1], as `llm_agent.integrations.core.Reward` does.

    Raises:
        ValueError: there is no such plant or version, or the version cannot be scaled.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(
        self, system: str = "double_integrator", reward_version: str = DEFAULT_VERSION, scaled: bool = False
    ) -> None:
        super().__init__()
        self._reward, self._default = Reward(reward_version, scaled), system
        self._episode = Episode(system, self._reward)
        self._answer: Answer | None = None
        self._state = ControlState()

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        system: str | None = None,
        x0: list[float] | None = None,
        split: Split = "train",
        **unknown: Any,
    ) -> ControlObservation:
        """Starts an episode.

        Args:
            seed: of the initial state; None draws one at random.
            episode_id: a name of the episode; None makes one.
            system: the plant; None is the server's.
            x0: the initial state (n,); None draws one.
            split: the split to draw from: "train", "validation" or "test".
            unknown: refused.

        Raises:
            ValueError: there is no such plant or split, x0 is not n numbers within the plant's bounds, or an argument
                is unknown.
        """
        if unknown:
            raise ValueError(f"reset has no argument {', '.join(unknown)}: choose from seed, system, x0, split")
        name = get_system(self._default if system is None else system).name
        if x0 is None:
            drawn = int(np.random.default_rng().integers(2**31)) if seed is None else seed
            (problem,) = make_problems(name, 1, split, drawn)
        elif isinstance(x0, list | tuple):
            problem = Problem(name, tuple(x0))
        else:
            raise ValueError(f"x0 must be a list of numbers, not {x0!r}")
        self._episode, self._answer = Episode.replay(problem, reward=self._reward), None
        self._state = ControlState(
            episode_id=episode_id or str(uuid4()),
            system=problem.system,
            x0=list(problem.x0),
            score=self._episode.score(),
        )
        return self._observation(prompt=problem.prompt, tool_prompt=problem.tool_prompt)

    def step(self, action: ControlAction, timeout_s: float | None = None, **unused: Any) -> ControlObservation:
        """Plays controls or scores a completion. What a model does wrong it is told, and nothing is played.

        Args:
            action: the next controls, or a text with all of them.
            timeout_s: unused.
            unused: unused.
        """
        self._state.step_count += 1
        episode = self._episode
        if self._over:
            return self._observation(message="error: the trajectory is over", reward=0.0)
        if action.controls is not None:
            try:
                message = episode.play(action.controls)
            except ValueError as error:
                message = f"error: {error}"
            self._state.score = episode.score()
            return self._observation(message=message)
        if episode.left < episode.system.horizon:
            return self._observation(message="error: a completion states all controls, and some were played already")
        self._answer = self._reward.answer(episode.problem, action.completion or "")
        self._state.score = self._answer.reward
        return self._observation(verdict=self._answer.verdict)

    @property
    def state(self) -> ControlState:
        """The episode's problem and score."""
        return self._state

    @property
    def _over(self) -> bool:
        return self._answer is not None or self._episode.over

    def _observation(self, **fields: Any) -> ControlObservation:
        ended_by = self._answer or self._episode
        over = self._over
        seen = {
            "done": over,
            "reward": self._state.score if over else 0.0,
            "left": 0 if over else self._episode.left,
            "x": self._episode.x,
            "success": over and ended_by.success,
        }
        return ControlObservation(**{**seen, **fields})


class ControlClient(EnvClient[ControlAction, ControlObservation, ControlState]):
    """The client: ``with ControlClient(base_url=...).sync() as client: client.reset(); client.step(...)``."""

    def _step_payload(self, action: ControlAction) -> dict[str, Any]:
        return action.model_dump(exclude_none=True, exclude={"metadata"})

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ControlObservation]:
        reward, done = payload.get("reward"), payload.get("done", False)
        observation = ControlObservation(**{**payload["observation"], "reward": reward, "done": done})
        return StepResult(observation=observation, reward=reward, done=done)

    def _parse_state(self, payload: dict[str, Any]) -> ControlState:
        return ControlState(**payload)


def make_app(
    system: str = "double_integrator",
    reward_version: str = DEFAULT_VERSION,
    scaled: bool = False,
    max_concurrent_envs: int = 64,
) -> FastAPI:
    """The server's app; each connection has an environment of its own.

    Args:
        system: the plant where a reset names none.
        reward_version: a key of `control_envs.REWARDS`.
        scaled: scale the reward to [0, 1].
        max_concurrent_envs: the most connections at a time.

    Raises:
        ValueError: there is no such plant or version, or the version cannot be scaled.
    """
    make = partial(ControlOpenEnv, system, reward_version, scaled)
    make()  # a wrong setting stops here, not at the first connection
    return create_app(
        make,
        ControlAction,
        ControlObservation,
        env_name="openenv_control",
        max_concurrent_envs=max_concurrent_envs,
        state_cls=ControlState,
    )
