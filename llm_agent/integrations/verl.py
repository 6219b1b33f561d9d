"""The reward function for veRL, and for any trainer that calls ``compute_score`` with veRL's arguments.

    python -m llm_agent.export prompts --format verl --output-dir data/verl
    python -m verl.trainer.main_ppo data.train_files=data/verl/train.parquet \\
        data.val_files=data/verl/validation.parquet \\
        reward.custom_reward_function.path=pkg://llm_agent.integrations.verl \\
        reward.custom_reward_function.name=compute_score ...

NumPy and Gymnasium are all that `compute_score` needs, so that the package can be installed beside any trainer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from control_envs.rewards import DEFAULT_VERSION
from llm_agent.integrations.core import Problem, Reward

__all__ = ["compute_score"]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward_version: str = DEFAULT_VERSION,
    scaled: bool = False,
    reward_router_address: Any = None,
    reward_model_tokenizer: Any = None,
) -> float:
    """The environment's reward of one answer: parsed, simulated and scored; no answer raises.

    Args:
        data_source: unused; veRL groups its validation metrics by it.
        solution_str: the model's answer.
        ground_truth: the problem, ``{"system": name, "x0": [...]}``, as JSON or as a mapping.
        extra_info: unused.
        reward_version: a key of `control_envs.REWARDS`.
        scaled: scale the reward to [0, 1], as `llm_agent.integrations.core.Reward` does. Unscaled, version 1.3 gives
            -10 for a text without a plan, -5 for a wrong number of controls and [30, 163] for a plan.
        reward_router_address: unused; veRL passes it where it serves a reward model.
        reward_model_tokenizer: the same.

    Raises:
        ValueError: ground_truth states no problem, there is no such version, or it cannot be scaled.
    """
    reward = Reward(str(reward_version), scaled)  # a command line may have made a number of it
    return reward.answer(_problem(ground_truth), solution_str if isinstance(solution_str, str) else "").reward


def _problem(ground_truth: str | Mapping[str, Any]) -> Problem:
    try:
        stated = json.loads(ground_truth) if isinstance(ground_truth, str) else ground_truth
        return Problem(stated["system"], tuple(float(x) for x in stated["x0"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'ground_truth must state a problem, {{"system": "double_integrator", "x0": [0.4, -0.2]}}, as '
            f"python -m llm_agent.export prompts --format verl writes it, not {ground_truth!r}"
        ) from error
