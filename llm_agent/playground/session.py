"""What the page and the terminal of `llm_agent.play` share: a question in, and what follows from it, as it comes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Event, Lock
from typing import Any

import numpy as np

from baselines.controllers.classical import MPCPolicy, lqr_policy
from baselines.controllers.text import TextPolicy
from baselines.evaluation.results import Result, evaluate
from baselines.optimum.solver import Optimum, solve
from control_envs import System, format_prompt, parse_completion, simulate
from control_envs.text import CONTROLS, DECIMALS, END_CONTROLS
from control_envs.utils.types import Array
from llm_agent.models import shipped
from llm_agent.models.lengths import check_spelling, completion_room
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.streaming import stream

MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Question:
    """A trajectory that is asked for.

    Attributes:
        system: the plant.
        x0: the state to start from, n numbers inside the plant's box; rounded to two decimals, as prompts print them.
        greedy: the most likely answer, or one that is drawn.
        seed: of the draw.

    Raises:
        ValueError: x0 or the seed is none.
    """

    system: System
    x0: tuple[float, ...]
    greedy: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        system, x0 = self.system, np.array(self.x0, dtype=np.float64)
        names = ", ".join(system.state_names)
        low, high = system.x_bounds.T
        if x0.shape != (system.n,) or not np.all((low <= x0) & (x0 <= high)):  # a NaN is inside nothing
            box = ", ".join(f"{a:g} to {b:g}" for a, b in system.x_bounds)
            raise ValueError(f"the initial state must be {system.n} numbers ({names}) within {box}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(f"the seed must be a whole number from 0 to {MAX_SEED}, not {self.seed}")
        object.__setattr__(self, "x0", tuple((np.round(x0, DECIMALS) + 0.0).tolist()))  # no negative zero


def shipped_for(system: System) -> str:
    """The shipped model made for a plant, or for the easier setting that its name begins with; else the base model."""
    plant = system.name.replace("_", "-")
    made_for = [name for name in shipped.shipped() if plant.startswith(name.removeprefix("tiny-"))]
    return max(made_for, key=len, default=shipped.BASE)


class Session:
    """Answers questions one at a time: a new one drops the one before it.

    Args:
        model: what `llm_agent.models.loading.load_model` loads; by default each plant's shipped model.
    """

    def __init__(self, model: str | None = None):
        self._model = model
        self._policies: dict[str, LLMPolicy] = {}
        self._arriving, self._answering = Lock(), Lock()
        self._stop = Event()  # of the question that came last

    def model_name(self, system: System) -> str:
        """The model that answers for a plant."""
        return self._model or shipped_for(system)

    def made_for(self, system: System) -> bool:
        """False where no shipped model was made for the plant, and another one's answers; True of a model given."""
        return self._model is not None or shipped_for(system) == f"tiny-{system.name.replace('_', '-')}"

    def policy(self, system: System) -> LLMPolicy:
        """That model, loaded once, with room for the plant's longest answers.

        Raises:
            ValueError: it cannot be loaded, or cannot spell the plant's prompt.
        """
        name = self.model_name(system)
        if name not in self._policies:
            self._policies[name] = LLMPolicy.from_pretrained(name)
        policy = self._policies[name]
        check_spelling(policy.tokenizer, [system.name])
        policy.max_new_tokens = completion_room(policy.tokenizer, [system.name], None)
        return policy

    def drop(self) -> None:
        """Ends the answer that is being written."""
        self._stop.set()

    def answer(self, question: Question) -> Generator[dict[str, Any]]:
        """What happens, in order, as JSON values.

        ``problem``: the prompt, the trajectories of LQR and MPC, and J* (None where no plan keeps the bounds);
        ``text``: a piece of the answer, with the trajectory as far as it is written where a control was added;
        ``outcome``: what the answer's trajectory was like. ``dropped`` instead, if another question came between;
        ``error`` where the model cannot answer this plant.
        """
        with self._turn() as stop:
            if stop.is_set():  # while it waited
                yield {"event": "dropped"}
                return
            system, x0 = question.system, np.array(question.x0)
            try:
                policy = self.policy(system)
            except (ValueError, ImportError) as error:
                yield {"event": "error", "message": str(error)}
                return
            prompt, (optimum, rulers) = format_prompt(system, x0), _references(system, question.x0)
            cost = optimum.cost if optimum.status == "optimal" else None
            trajectories = [described(result) for result in rulers]
            yield {
                "event": "problem",
                "prompt": prompt,
                "best_cost": cost,
                "status": optimum.status,
                "trajectories": trajectories,
            }
            text, known = "", 0
            for piece in stream(policy, prompt, question.greedy, question.seed, stop):
                text += piece
                controls = plan_so_far(text, system)
                trajectory = _trajectory(system, x0, controls) if len(controls) > known else None
                known = len(controls)
                yield {"event": "text", "text": piece, "trajectory": trajectory}
            if stop.is_set():
                yield {"event": "dropped"}
                return
            rolled_out = TextPolicy(self.model_name(system), system, lambda prompts: [text])
            yield {"event": "outcome", "trajectory": described(_measured(rolled_out, system, x0, optimum))}

    @contextmanager
    def _turn(self) -> Iterator[Event]:
        stop = Event()
        with self._arriving:
            self.drop()
            self._stop = stop
        with self._answering:
            yield stop


def described(result: Result) -> dict[str, Any]:
    """One trajectory as JSON values; None for whatever does not exist."""

    def number(measure: str) -> float | None:
        value = float(result.values[measure][0])
        return value if np.isfinite(value) else None

    answered = bool(result.valid[0])
    trajectory = result.trajectories[0]
    return {
        "name": result.name,
        "verdict": next(iter(result.verdicts)),
        "answered": answered,
        "reward": number("reward_1.3"),
        "cost": number("cost"),
        "cost_ratio": number("cost_ratio"),
        "final_error": number("final_error"),
        "violated": bool(result.values["violated"][0]),
        "success": bool(result.values["success"][0]),
        **({"x": trajectory.x.tolist(), "u": trajectory.u.tolist()} if answered else {"x": None, "u": None}),
    }


def plan_so_far(text: str, system: System) -> Array:
    """The controls (k, m) that an answer holds so far: those that are known to be whole; none where they are not ok."""
    body, ended, _ = text.partition(CONTROLS)[2].partition(END_CONTROLS)
    between = "," if system.m == 1 else ";"
    rows = body.split(between)
    whole = (rows if ended else rows[:-1])[: system.horizon]
    parsed = parse_completion(f"{CONTROLS}{between.join(whole)}{END_CONTROLS}", len(whole), system.m)
    return np.empty((0, system.m)) if parsed.controls is None else parsed.controls


def _trajectory(system: System, x0: Array, controls: Array) -> dict[str, Any]:
    trajectory = simulate(system, x0, controls)
    return {"x": trajectory.x.tolist(), "u": trajectory.u.tolist()}


def _measured(policy: Any, system: System, x0: Array, optimum: Optimum) -> Result:
    return evaluate(policy, system, x0[None], np.array([optimum.cost], dtype=np.float64))


@lru_cache(maxsize=64)
def _references(system: System, x0: tuple[float, ...]) -> tuple[Optimum, list[Result]]:
    """The optimum from a state, and how LQR and MPC fly from it."""
    start = np.array(x0)
    optimum = solve(system, start)
    return optimum, [_measured(policy, system, start, optimum) for policy in _classical(system)]


@lru_cache(maxsize=8)
def _classical(system: System) -> tuple[Any, ...]:
    return lqr_policy(system), MPCPolicy(system)
