"""Lengths of prompts and answers in tokens, and a check that a tokenizer can encode them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import System, format_completion, format_prompt, get_system
from llm_agent.data.reasoning import WITH_STATES, Reasoning, format_reasoning
from llm_agent.data.working import work
from llm_agent.models.chat import encode
from llm_agent.models.tokenizer import longest_reasoning

if TYPE_CHECKING:
    from llm_agent.models.loading import Tokenizer

__all__ = [
    "answer_tokens",
    "check_max_length",
    "check_spelling",
    "completion_room",
    "demonstration_tokens",
    "prompt_tokens",
    "room_in_run",
]


def check_spelling(tokenizer: Tokenizer, systems: list[str]) -> None:
    """Checks that a tokenizer encodes and decodes each plant's prompt without loss, apart from white space.

    Raises:
        ValueError: it cannot encode the prompt of a plant.
    """
    for system in map(get_system, systems):
        prompt = format_prompt(system, system.x0_bounds[:, 0])
        decoded = str(tokenizer.decode(tokenizer(prompt).input_ids, skip_special_tokens=True))
        if "".join(decoded.split()) != "".join(prompt.split()):
            raise ValueError(
                f"the tokenizer cannot encode {system.name}'s prompt and reads it as {decoded[:60]!r}...: "
                "the model was not made for this plant; choose another --model"
            )


def check_max_length(tokenizer: Tokenizer, systems: list[str], reasoning: Reasoning, given: int | None) -> None:
    """Checks that demonstrations are not cut.

    Args:
        reasoning: of the demonstrations.
        given: the number of tokens at which SFT cuts; None for never.

    Raises:
        ValueError: an ordinary demonstration is longer.
    """
    if given is None:
        return
    needed = demonstration_tokens(tokenizer, systems, reasoning)
    if given < needed:
        raise ValueError(
            f"--max_length {given} would cut demonstrations of up to {needed} tokens: give {needed} or more (SFT phase)"
        )


def completion_room(
    tokenizer: Tokenizer, systems: list[str], requested: int | None, taught: Reasoning | None = None
) -> int:
    """The maximum number of tokens of a completion.

    Args:
        requested: the number that was asked for; None for the longest reasoning that can be expected, and 8 tokens to
            spare.
        taught: the reasoning of the demonstrations that the model learns from. At least waypoints are expected; without
            demonstrations, the longest reasoning that the tokenizer has tokens for.

    Raises:
        ValueError: an ordinary answer does not fit into the requested number.
    """
    plants = [get_system(name) for name in systems]
    needed = max(answer_tokens(tokenizer, system) for system in plants)
    if requested is not None and requested < needed:
        raise ValueError(
            f"max_completion_length {requested} is too short: an answer takes {needed} tokens with this "
            f"tokenizer; give --max_completion_length {needed} or more"
        )
    longest = longest_reasoning(tokenizer)
    if taught is not None:
        longest = taught if taught in WITH_STATES else "waypoints"
    return requested or max(answer_tokens(tokenizer, system, longest) for system in plants) + 8


def room_in_run(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> int:
    """The maximum number of tokens of a completion in a run with these settings (of its run.json)."""
    taught = settings.get("reasoning")  # older runs did not record it
    return completion_room(tokenizer, settings["systems"], settings["max_completion_length"], taught)


def demonstration_tokens(tokenizer: Tokenizer, systems: Sequence[str], reasoning: Reasoning) -> int:
    """Tokens of a long ordinary demonstration of the plants: the longest prompt and the longest answer."""
    answers = (answer_tokens(tokenizer, system, reasoning) for system in map(get_system, systems))
    return prompt_tokens(tokenizer, systems) + max(answers)


def prompt_tokens(tokenizer: Tokenizer, systems: Sequence[str]) -> int:
    """Tokens of the longest prompt of the plants, chat template included."""
    plants = [get_system(name) for name in systems]
    prompts = [format_prompt(plant, plant.x0_bounds[:, 0]) for plant in plants]
    return max(map(len, encode(tokenizer, prompts).input_ids))


def answer_tokens(tokenizer: Tokenizer, system: System, reasoning: Reasoning = "brief") -> int:
    """Tokens of a long ordinary answer: the reasoning, a full plan at the lower bounds, and the end token."""
    controls = np.tile(system.u_bounds[:, 0], (system.horizon, 1))
    states = np.tile(system.x_bounds[:, 0], (system.horizon + (reasoning not in WITH_STATES), 1))
    # The working of a plant at rest: its numbers are a token each, as they are in ordinary answers.
    working = work(system, np.zeros_like(states), np.zeros_like(controls)) if reasoning == "working" else None
    text = format_reasoning(reasoning, np.full((system.m, system.n), 10.0), states, controls, working)
    return len(tokenizer(format_completion(controls, text), add_special_tokens=False).input_ids) + 1
