"""The environment's reward functions for any TRL trainer, by dotted path.

trl grpo --reward_funcs llm_agent.trl_rewards.control llm_agent.trl_rewards.format_exact ...

Completions may be texts or conversations. The dataset needs the columns ``system`` and ``x0`` beside its prompts.
"""

from __future__ import annotations

from typing import Any

from llm_agent.training.rewards import (
    ApproximateFormatReward,
    ControlReward,
    ExactFormatReward,
    reward_functions,
    variance_shares,
)

__all__ = [
    "ApproximateFormatReward",
    "ControlReward",
    "ExactFormatReward",
    "control",
    "format_approximate",
    "format_exact",
    "reward_functions",
    "variance_shares",
]

# The default version.
control, format_exact, format_approximate = reward_functions()


def __getattr__(name: str) -> Any:
    """The reward function of another version, by a suffix: ``control_v2_0``, ``format_exact_v1_0``."""
    kind, marked, number = name.partition("_v")
    for reward in reward_functions(number.replace("_", ".")) if marked and number[:1].isdigit() else ():
        if reward.__name__ == kind:
            return reward
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
