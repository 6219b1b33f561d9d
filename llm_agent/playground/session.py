"""What the page and the terminal of `llm_agent.play` share: a problem goes in, its events come out one by one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Event, Lock
from typing import Any, Protocol

import numpy as np

from baselines.controllers.classical import MPCPolicy, lqr_policy
from baselines.controllers.policy import Policy
from baselines.controllers.text import TextPolicy
from baselines.evaluation.results import Result, evaluate
from baselines.optimum.solver import Optimum, solve
from control_envs import SYSTEMS, System, format_prompt, parse_completion, simulate
from control_envs.envs import checked_x0
from control_envs.text import CONTROLS, DECIMALS, END_CONTROLS
from control_envs.utils.commands import CommandError
from control_envs.utils.types import Array
from llm_agent.models import shipped
from llm_agent.models.lengths import check_spelling
from llm_agent.policies.language_model import LLMPolicy

__all__ = ["MAX_SEED", "Problem", "Session", "describe", "plan_so_far", "shipped_for"]

MAX_SEED = 2**32 - 1


class Streaming(Protocol):
    """A model whose answer can be watched as it is written: `LLMPolicy`, or one that is served."""

    def stream(
        self, prompt: str, greedy: bool, seed: int | None, stop: Event | None, max_new_tokens: int | None
    ) -> Iterator[str]: ...

    def room_for(self, system: System) -> int: ...


Loader = Callable[[str], Streaming]


@dataclass(frozen=True)
class Problem:
    """A control problem for the model, and how to decode its answer.

    Attributes:
        system: the plant.
        x0: the initial state, n numbers inside the plant's bounds; rounded to two decimals, as prompts print it.
        greedy: greedy decoding; otherwise the answer is sampled.
        seed: the seed of sampling, from 0 to `MAX_SEED`.

    Raises:
        ValueError: x0 is not a state inside the bounds, or the seed is out of range.
    """

    system: System
    x0: tuple[float, ...]
    greedy: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        x0 = checked_x0(self.system, self.x0, name="the initial state")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"the seed must be a whole number from 0 to {MAX_SEED}, not {self.seed}")
        object.__setattr__(self, "x0", tuple((np.round(x0, DECIMALS) + 0.0).tolist()))  # no negative zero


def shipped_for(system: System) -> str:
    """The shipped model trained on this plant alone, or else the one trained on every plant."""
    own = f"tiny-{system.name.replace('_', '-')}"
    return own if own in shipped.shipped() else shipped.UNIVERSAL


class Session:
    """Solves problems one at a time; a new problem stops the previous one.

    Args:
        model: a name that ``load`` accepts; by default each plant's shipped model.
        load: makes a policy of a name.
    """

    def __init__(self, model: str | None = None, load: Loader = LLMPolicy.from_pretrained):
        self._model, self._load = model, load
        self._policies: dict[str, Streaming] = {}
        self._arriving, self._answering = Lock(), Lock()
        self._stop = Event()  # stops the newest problem

    def model_name(self, system: System) -> str:
        """The model used for a plant."""
        return self._model or shipped_for(system)

    def made_for(self, system: System) -> bool:
        """Whether the plant's model was trained on this plant; True for a model that was chosen by name."""
        return self._model is not None or system.name in SYSTEMS

    def policy(self, system: System) -> Streaming:
        """The plant's model, loaded once.

        Raises:
            ValueError: the model cannot be loaded, or its tokenizer cannot spell the plant's prompt.
        """
        name = self.model_name(system)
        if name not in self._policies:
            self._policies[name] = self._load(name)
        policy = self._policies[name]
        if isinstance(policy, LLMPolicy):
            check_spelling(policy.tokenizer, [system.name])
        return policy

    def drop(self) -> None:
        """Stops the answer that is being generated."""
        self._stop.set()

    def answer(self, problem: Problem) -> Generator[dict[str, Any]]:
        """The events of one problem in order, as JSON values; the key ``event`` names each.

        ``problem``: the prompt, the trajectories of LQR and MPC, and J* (None if no plan keeps the bounds).
        ``text``: a piece of the answer; after a new control also the trajectory so far.
        ``outcome``: the measured trajectory of the whole answer.
        ``dropped``: a newer problem stopped this one; no event follows.
        ``error``: the model cannot be loaded or used for this plant; no event follows.
        """
        with self._turn() as stop:
            if stop.is_set():  # a newer problem came while this one waited
                yield {"event": "dropped"}
                return
            system, x0 = problem.system, np.array(problem.x0)
            try:
                policy = self.policy(system)
            except (ValueError, ImportError) as error:
                yield {"event": "error", "message": str(error)}
                return
            prompt, (optimum, baselines) = format_prompt(system, x0), _baselines(system, problem.x0)
            yield {
                "event": "problem",
                "prompt": prompt,
                "best_cost": optimum.cost if optimum.status == "optimal" else None,
                "status": optimum.status,
                "trajectories": [describe(result) for result in baselines],
            }
            text, count = "", 0
            try:
                for piece in policy.stream(prompt, problem.greedy, problem.seed, stop, policy.room_for(system)):
                    text += piece
                    controls = plan_so_far(text, system)
                    trajectory = _trajectory(system, x0, controls) if len(controls) > count else None
                    count = len(controls)
                    yield {"event": "text", "text": piece, "trajectory": trajectory}
            except (ValueError, CommandError) as error:  # a server that is not there
                yield {"event": "error", "message": str(error)}
                return
            if stop.is_set():
                yield {"event": "dropped"}
                return
            answered = TextPolicy(self.model_name(system), system, lambda prompts: [text])
            yield {"event": "outcome", "trajectory": describe(_evaluate(answered, system, x0, optimum))}

    @contextmanager
    def _turn(self) -> Iterator[Event]:
        """Stops the problem before this one, waits for it to end, and yields the event that stops this one."""
        stop = Event()
        with self._arriving:
            self.drop()
            self._stop = stop
        with self._answering:
            yield stop


def describe(result: Result) -> dict[str, Any]:
    """A result of one trajectory as JSON values; None where a number is not finite or there is no plan."""

    def number(metric: str) -> float | None:
        value = float(result.values[metric][0])
        return value if np.isfinite(value) else None

    parsed = bool(result.valid[0])
    trajectory = result.trajectories[0]
    return {
        "name": result.name,
        "verdict": next(iter(result.verdicts)),
        "answered": parsed,
        "reward": number("reward_1.3"),
        "cost": number("cost"),
        "cost_ratio": number("cost_ratio"),
        "final_error": number("final_error"),
        "violated": bool(result.values["violated"][0]),
        "success": bool(result.values["success"][0]),
        **({"x": trajectory.x.tolist(), "u": trajectory.u.tolist()} if parsed else {"x": None, "u": None}),
    }


def plan_so_far(text: str, system: System) -> Array:
    """The controls (k, m) written so far, without one that may still be unfinished; none if they do not parse."""
    body, ended, _ = text.partition(CONTROLS)[2].partition(END_CONTROLS)
    separator = "," if system.m == 1 else ";"
    rows = body.split(separator)
    complete = (rows if ended else rows[:-1])[: system.horizon]
    parsed = parse_completion(f"{CONTROLS}{separator.join(complete)}{END_CONTROLS}", len(complete), system.m)
    return np.empty((0, system.m)) if parsed.controls is None else parsed.controls


def _trajectory(system: System, x0: Array, controls: Array) -> dict[str, Any]:
    trajectory = simulate(system, x0, controls)
    return {"x": trajectory.x.tolist(), "u": trajectory.u.tolist()}


def _evaluate(policy: Policy, system: System, x0: Array, optimum: Optimum) -> Result:
    return evaluate(policy, system, x0[None], np.array([optimum.cost], dtype=np.float64))


@lru_cache(maxsize=64)
def _baselines(system: System, x0: tuple[float, ...]) -> tuple[Optimum, list[Result]]:
    """The optimum from an initial state, and the results of LQR and MPC."""
    start = np.array(x0)
    optimum = solve(system, start)
    return optimum, [_evaluate(policy, system, start, optimum) for policy in _classical(system)]


@lru_cache(maxsize=8)
def _classical(system: System) -> tuple[Policy, ...]:
    return lqr_policy(system), MPCPolicy(system)
