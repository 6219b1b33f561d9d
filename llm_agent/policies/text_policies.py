"""Language models as policies of `baselines`: greedy or sampled, in open loop or receding horizon, the best of N."""

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

DECODINGS = ("greedy", "sampled")

# Help texts of the flags that go with these.
STRUCTURED = "answers are kept to the format while they are written (structured output)"
BEST_OF = "beside them the best, by the environment's reward, of N sampled answers"


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
    """Each model in each decoding as a policy for the plant.

    Args:
        replan_every: controls played of each plan; None for whole plans. At 1 greedy answers are not written further
            than their first control.
        progress: called with the number of prompts answered since the last call.
        structured: answers are kept to the plant's format while they are written.
        best_of: beside these, the best by the environment's reward of so many sampled answers (whole plans only).
    """
    if best_of is not None and replan_every:
        raise ValueError("best_of picks whole plans: leave replan_every out")
    pattern = answer_pattern(system) if structured else None

    def policy(name: str, model: LLMPolicy, greedy: bool) -> Policy:
        if replan_every == 1 and greedy and not structured:
            from llm_agent.policies.receding import FirstControls

            return RecedingTextPolicy(name, system, FirstControls(model))
        return TextPolicy(name, system, act(model, greedy), replan_every)

    def act(model: LLMPolicy, greedy: bool) -> Callable[..., Sequence[str]]:
        return partial(model.act, greedy=greedy, seed=seed, progress=progress, pattern=pattern)

    found = []
    for name, model in models.items():
        found += [policy(f"{name} {decoding}", model, decoding == "greedy") for decoding in decodings]
        if best_of is not None:
            found.append(BestOf(f"{name} best of {best_of}", system, act(model, False), best_of))
    return found
