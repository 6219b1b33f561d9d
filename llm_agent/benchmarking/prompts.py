"""Variants of the prompt: as it is, with the cost that a plan is measured by, with one worked example."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import System, format_completion, format_prompt, measure, sample_states
from control_envs.systems.base import TERMINAL_WEIGHT, shortest
from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = ["PROMPTS", "PromptVariant", "vary"]

PromptVariant = Literal["bare", "criterion", "example"]
PROMPTS: tuple[PromptVariant, ...] = get_args(PromptVariant)


def vary(variant: PromptVariant, system: System, prompts: list[str]) -> list[str]:
    """The prompts of a plant, as a variant words them.

    Args:
        variant: "bare" leaves them; "criterion" adds the cost to minimise; "example" puts another problem of the same
            plant with a good answer before them.
        system: the plant.
        prompts: as `control_envs.format_prompt` writes them.
    """
    if variant == "criterion":
        return [f"{prompt} {_criterion(system)}" for prompt in prompts]
    if variant == "example":
        example = _example(system)
        return [f"{example}\n\n{prompt}" for prompt in prompts]
    return prompts


def _criterion(system: System) -> str:
    """The cost in words: "Minimize the sum over all steps of 10 position^2 + ..."."""
    state = _terms(system.Q, system.state_names)
    stage = " + ".join([*state, *_terms(system.R, system.control_names)])
    return (
        f"Minimize the sum over all steps of {stage}, plus {shortest(TERMINAL_WEIGHT)} times "
        f"{' + '.join(state)} at the end."
    ).replace("+ -", "- ")


def _terms(weights: Array, names: tuple[str, ...]) -> list[str]:
    """A quadratic form as terms: "10 position^2", "0.5 position*velocity"."""
    terms = []
    for i, first in enumerate(names):
        for j, second in enumerate(names[i:], i):
            weight = float(weights[i, i] if i == j else weights[i, j] + weights[j, i])
            if abs(weight) > 1e-9:
                product = f"{first}^2" if i == j else f"{first}*{second}"
                terms.append(f"{shortest(round(weight, 4))} {product}")
    return terms


@lru_cache(maxsize=16)
def _example(system: System) -> str:
    """A problem from the training split that LQR solves, and LQR's plan."""
    x0 = np.round(sample_states(system, 64, "train"), DECIMALS) + 0.0  # as prompts print them
    K, _ = lqr(system)
    plans = simulate_feedback(system, x0, K, DECIMALS)
    solved = int(np.argmax(measure(plans).success))
    return f"{format_prompt(system, x0[solved])}\n{format_completion(plans.u[solved], 'linear-quadratic regulator')}"
