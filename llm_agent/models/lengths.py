"""How long prompts and answers are in a tokenizer's tokens, and whether it can spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from control_envs import System, format_completion, format_prompt, get_system
from llm_agent.data.reasoning import Reasoning, format_reasoning
from llm_agent.models.chat import encode

if TYPE_CHECKING:
    from llm_agent.models.loading import Tokenizer


def check_spelling(tokenizer: Tokenizer, systems: list[str]) -> None:
    """Makes sure that a tokenizer can write the problems it is meant for.

    Raises:
        ValueError: it cannot spell the prompt of a plant.
    """
    for system in map(get_system, systems):
        prompt = format_prompt(system, system.x0_bounds[:, 0])
        spelt = str(tokenizer.decode(tokenizer(prompt).input_ids, skip_special_tokens=True))
        if "".join(spelt.split()) != "".join(prompt.split()):
            raise ValueError(
                f"the tokenizer cannot spell {system.name}'s prompt, and reads it as {spelt[:60]!r}...: "
                "this model was made for something else; choose another --model"
            )


def completion_room(tokenizer: Tokenizer, systems: list[str], requested: int | None) -> int:
    """How many tokens a completion may take: as requested, or what the longest reasoning needs and a few more.

    Raises:
        ValueError: an ordinary answer does not fit into what was requested.
    """
    plants = [get_system(name) for name in systems]
    needed = max(answer_tokens(tokenizer, system) for system in plants)
    if requested is not None and requested < needed:
        raise ValueError(
            f"max_completion_length {requested} cannot hold an answer, which takes {needed} tokens with this "
            f"tokenizer: give --max_completion_length {needed} or more"
        )
    return requested or max(answer_tokens(tokenizer, system, "waypoints") for system in plants) + 8


def prompt_tokens(tokenizer: Tokenizer, systems: Sequence[str]) -> int:
    """Tokens of the longest problem as the model reads it."""
    plants = [get_system(name) for name in systems]
    prompts = [format_prompt(plant, plant.x0_bounds[:, 0]) for plant in plants]
    return max(map(len, encode(tokenizer, prompts).input_ids))


def answer_tokens(tokenizer: Tokenizer, system: System, reasoning: Reasoning = "brief") -> int:
    """Tokens of a long ordinary answer: the reasoning, a full plan at the lower bounds, and the end."""
    controls = np.tile(system.u_bounds[:, 0], (system.horizon, 1))
    states = np.tile(system.x_bounds[:, 0], (system.horizon + 1, 1))
    thought = format_reasoning(reasoning, np.full((system.m, system.n), 10.0), states)
    return len(tokenizer(format_completion(controls, thought), add_special_tokens=False).input_ids) + 1
