"""Language models as policies of `baselines`: greedy, sampled or best of N, open-loop or receding-horizon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from baselines.controllers.policy import Policy
from baselines.controllers.text import RecedingTextPolicy, TextPolicy
from control_envs import System
from control_envs.text import answer_pattern
from llm_agent.policies.best_of import BestOf
from llm_agent.policies.language_model import LLMPolicy

__all__ = ["BEST_OF", "DECODINGS", "STRUCTURED", "text_policies"]

DECODINGS = ("greedy", "sampled")

# Help texts of the flags --structured and --best-of.
STRUCTURED = "constrain answers to the format during generation (structured output)"
BEST_OF = "also evaluate the best of N sampled answers by the environment's reward"


def text_policies(
    system: System,
    models: dict[str, LLMPolicy],
    decodings: Sequence[str] = DECODINGS,
    seed: int = 0,
    replan_every: int | None = None,
    progress: Any = None,
    structured: bool = False,
    best_of: int | None = None,
) -> list[Policy]:
    """Each model with each decoding as a policy for the plant.

    Args:
        system: the plant.
        models: language models by the names of their rows.
        decodings: "greedy", "sampled", or both.
        seed: the seed of sampling.
        replan_every: controls played of each plan; None for whole plans. At 1, greedy answers are generated only up to
            their first control.
        progress: called with the number of prompts answered since the last call.
        structured: constrains answers to the plant's format during generation.
        best_of: adds, for each model, the best of this many sampled answers by the environment's reward (whole plans
            only).

    Raises:
        ValueError: ``best_of`` together with ``replan_every``.
    """
    if best_of is not None and replan_every:
        raise ValueError("best_of picks whole plans: leave replan_every out")
    pattern = answer_pattern(system) if structured else None

    def policy(name: str, model: LLMPolicy, greedy: bool) -> Policy:
        if replan_every == 1 and greedy and not structured and isinstance(model, LLMPolicy):
            from llm_agent.policies.receding import FirstControls

            return RecedingTextPolicy(name, system, FirstControls(model))
        return TextPolicy(name, system, act(model, greedy), replan_every)

    def act(model: LLMPolicy, greedy: bool) -> Callable[..., Sequence[str]]:
        room: dict[str, Any] = {}
        if hasattr(model, "room_for"):  # anything that has ``act`` is a model
            room["max_new_tokens"] = model.room_for(system)
        return partial(model.act, greedy=greedy, seed=seed, progress=progress, pattern=pattern, **room)

    policies: list[Policy] = []
    for name, model in models.items():
        policies += [policy(f"{name} {decoding}", model, decoding == "greedy") for decoding in decodings]
        if best_of is not None:
            policies.append(BestOf(f"{name} best of {best_of}", system, act(model, False), best_of))
    return policies
