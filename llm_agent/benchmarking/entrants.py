"""What enters the benchmark, by its name in the command: a controller, a language model, a served model, a function."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from baselines.controllers.classical import CLASSICAL
from baselines.controllers.policy import Feedback, Policy
from baselines.controllers.ppo_policy import how_to_train, trained_policies
from baselines.controllers.text import TextPolicy
from control_envs import System
from control_envs.utils.types import Array
from llm_agent.benchmarking.prompts import PromptVariant, vary
from llm_agent.benchmarking.schema import Kind
from llm_agent.endpoints import EndpointPolicy
from llm_agent.evaluation.models import Loader, load_policies

__all__ = ["CONTROLLERS", "FUNCTION", "Entrant", "entrants"]

FUNCTION = "python:"  # before a function's name: python:package.module:function
_CHANCE = {"zero": "no control", "random": "random controls"}
CONTROLLERS = (*CLASSICAL, "ppo", *_CHANCE)


@dataclass(frozen=True)
class Entrant:
    """A policy for any plant.

    Attributes:
        policy: its name in the leaderboard.
        kind: what it is.
        build: ``build(system, replan_every, progress)`` makes the policy for a plant; ``progress`` is called with the
            number of answers that have arrived.
        prompt: the variant of the prompt; None for controllers, whose two modes are one: they read every state.
        settings: what else decides its answers.
        model: the language model, if it is one.
    """

    policy: str
    kind: Kind
    build: Callable[[System, int | None, Callable[[int], Any]], Policy]
    prompt: PromptVariant | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    model: Any = None


def entrants(
    names: Sequence[str], prompts: Sequence[PromptVariant], load: Loader, args: argparse.Namespace
) -> list[Entrant]:
    """The entrants that a command names; a language model once for each variant of the prompt.

    Args:
        names: of controllers (`CONTROLLERS`), runs, model folders, hub ids, ``endpoint:MODEL`` or
            ``python:MODULE:FUNCTION``.
        prompts: variants of the prompt.
        load: loads a language model by its name.
        args: the command's flags: ``ppo_dir``, ``max_new_tokens``.

    Raises:
        ValueError: there is no such policy, model or function.
    """
    found: list[Entrant] = []
    for name in names:
        if name in CONTROLLERS:
            found.append(_controller(name, args))
        elif name.startswith(FUNCTION):
            act = _function(name)
            found += [Entrant(name, "callable", _asking(act, prompt), prompt) for prompt in prompts]
        else:
            for label, model in load_policies(name, load).items():
                found += [_model(label, model, prompt, args) for prompt in prompts]
    return found


def _controller(name: str, args: argparse.Namespace) -> Entrant:
    def build(system: System, replan_every: int | None, progress: Callable[[int], Any]) -> Policy:
        if name == "ppo":
            trained = trained_policies(args.ppo_dir, system)
            if not trained:
                raise ValueError(f"there is no trained PPO for {system.name}: {how_to_train(system)}")
            return trained[0]
        if name in CLASSICAL:
            return CLASSICAL[name](system)
        return _chance(name, system)

    titles = {"lqr": "LQR", "finite-horizon-lqr": "finite-horizon LQR", "mpc": "MPC", "ppo": "PPO", **_CHANCE}
    return Entrant(titles[name], "controller", build)


def _chance(name: str, system: System) -> Feedback:
    """What a score means: no control, and controls drawn uniformly within their bounds."""
    rng = np.random.default_rng(0)
    low, high = system.u_bounds.T

    def control(x: Array, k: int) -> Array:
        return np.zeros((len(x), system.m)) if name == "zero" else rng.uniform(low, high, (len(x), system.m))

    return Feedback(_CHANCE[name], control)


def _function(name: str) -> Callable[[list[str], System, Callable[[int], Any]], Sequence[str]]:
    module, _, attribute = name.removeprefix(FUNCTION).partition(":")
    try:
        answer = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name}: {error}; give {FUNCTION}MODULE:FUNCTION, a function of a list of prompts") from None
    if not callable(answer):
        raise ValueError(f"{name} is not a function of a list of prompts to a list of completions")

    def act(prompts: list[str], system: System, progress: Callable[[int], Any]) -> Sequence[str]:
        answers = answer(prompts)
        progress(len(prompts))
        return answers

    return act


def _model(label: str, model: Any, prompt: PromptVariant, args: argparse.Namespace) -> Entrant:
    model.max_new_tokens = args.max_new_tokens  # a run's own is made for its own plants
    settings: dict[str, Any] = {"decoding": "greedy"}
    if args.max_new_tokens:
        settings["max_new_tokens"] = args.max_new_tokens
    served = isinstance(model, EndpointPolicy)
    policy, kind = (model.model if served else label), cast(Kind, "endpoint" if served else "model")

    def act(prompts: list[str], system: System, progress: Callable[[int], Any]) -> Sequence[str]:
        return model.act(prompts, greedy=True, progress=progress, max_new_tokens=model.room_for(system))

    return Entrant(policy, kind, _asking(act, prompt), prompt, settings, model)


def _asking(
    act: Callable[[list[str], System, Callable[[int], Any]], Sequence[str]], prompt: PromptVariant
) -> Callable[[System, int | None, Callable[[int], Any]], Policy]:
    """What builds the policy of a language model or a function, ``act(prompts, system, progress)``."""

    def build(system: System, replan_every: int | None, progress: Callable[[int], Any]) -> Policy:
        return TextPolicy(
            "entrant", system, lambda prompts: act(vary(prompt, system, prompts), system, progress), replan_every
        )

    return build
