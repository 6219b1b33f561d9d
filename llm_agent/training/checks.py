"""Checks before any work starts: values that a later phase would refuse, and room on the disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

__all__ = ["check_disk", "check_options", "check_ranges"]

POSITIVE: tuple[str, Callable[[float], bool]] = ("positive", lambda value: value > 0)
NOT_NEGATIVE: tuple[str, Callable[[float], bool]] = ("0 or more", lambda value: value >= 0)
COUNT: tuple[str, Callable[[float], bool]] = ("at least 1", lambda value: value >= 1)
SHARE: tuple[str, Callable[[float], bool]] = ("between 0 and 1", lambda value: 0 <= value <= 1)
# Options of TRL's SFTConfig and GRPOConfig; those that a configuration lacks, or leaves at None, are not checked.
RANGES = {
    "learning_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "warmup_steps": NOT_NEGATIVE,
    "max_grad_norm": NOT_NEGATIVE,
    "per_device_train_batch_size": COUNT,
    "gradient_accumulation_steps": COUNT,
    "max_steps": COUNT,
    "save_steps": POSITIVE,
    "logging_steps": POSITIVE,
    "temperature": POSITIVE,
    "top_p": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "top_k": ("0 or more, or -1 for all tokens", lambda value: value >= -1),
    "min_p": SHARE,
    "beta": NOT_NEGATIVE,
    "epsilon": POSITIVE,
    "epsilon_high": POSITIVE,
    "delta": POSITIVE,
    "ref_model_mixup_alpha": SHARE,
    "ref_model_sync_steps": COUNT,
    "num_iterations": COUNT,
    "steps_per_generation": COUNT,
    "repetition_penalty": POSITIVE,
    "adam_beta1": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "adam_beta2": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "num_generations": ("at least 2, since advantages compare the completions of a group", lambda value: value >= 2),
    "top_entropy_quantile": SHARE,
    "max_completion_length": COUNT,
    "max_length": COUNT,
}
# Options whose values TRL lists only in its documentation, and refuses only in the first training step.
CHOICES = {
    "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none"),
    "multi_objective_aggregation": ("sum_then_normalize", "normalize_then_sum"),
    "vllm_importance_sampling_mode": ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask"),
}
MEGABYTE = 2**20
DATA = 64 * MEGABYTE  # demonstrations, logs, evaluation and report
COPIES = 3  # a checkpoint holds the weights and Adam's two moments


def check_options(config: Any, phase: str, rewards: Sequence[str] = ()) -> None:
    """Checks a phase's configuration, as far as TRL and transformers would refuse it only later, or not at all.

    Args:
        config: TRL's SFTConfig or GRPOConfig.
        phase: "sft" or "grpo", named in the error.
        rewards: names of the reward functions.

    Raises:
        ValueError: an option is invalid.
    """
    check_ranges(config, phase)
    for field in fields(config):
        value, choices = getattr(config, field.name), _choices(field)
        if choices and value is not None and value not in choices:
            raise ValueError(f"--{field.name} must be one of {', '.join(choices)}, not {value} ({phase.upper()} phase)")
    for name in config._VALID_DICT_FIELDS:
        if isinstance(value := getattr(config, name), str) and not Path(value).is_file():
            raise ValueError(f"--{name} must be JSON, such as '{{\"name\": 1}}', not {value!r}")
    weights = getattr(config, "reward_weights", None)
    if weights is not None and len(weights) != len(rewards):
        raise ValueError(f"--reward_weights takes {len(rewards)} numbers, for {', '.join(rewards)}, not {len(weights)}")
    if config.resume_from_checkpoint:
        raise ValueError("--resume_from_checkpoint is not used: continue a run with --resume --output-dir RUN")
    if config.hub_token:
        raise ValueError("--hub_token would be written into the run's files: set the variable HF_TOKEN instead")
    _check_greedy_below(getattr(config, "generation_kwargs", None))
    _check_scheduler(config)
    _check_monitors(config.report_to or [])
    if config.push_to_hub:
        _check_hub()


def _check_greedy_below(generation: Any) -> None:
    value = generation.get("greedy_below") if isinstance(generation, dict) else None
    if value is not None and not (isinstance(value, int | float) and value > 0):
        raise ValueError(f"greedy_below in --generation_kwargs is an entropy in nats, such as 2.5, not {value!r}")


def _choices(field: Field) -> Collection[str]:
    """The values that an option may have: transformers' and TRL's own lists where they have one; empty for others."""
    if field.name == "cache_implementation":
        from transformers.generation.configuration_utils import ALL_CACHE_IMPLEMENTATIONS

        return ALL_CACHE_IMPLEMENTATIONS
    return field.metadata.get("choices") or CHOICES.get(field.name, ())


def _check_scheduler(config: Any) -> None:
    """Builds the schedule of learning rates for an optimizer of one number, which shows what it refuses."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steps, settings = config.max_steps, config.lr_scheduler_kwargs
    try:
        get_scheduler(config.lr_scheduler_type, optimizer, config.get_warmup_steps(steps), steps, settings)
    except (TypeError, ValueError) as error:
        kind = getattr(config.lr_scheduler_type, "value", config.lr_scheduler_type)
        raise ValueError(f"--lr_scheduler_type {kind} with --lr_scheduler_kwargs {settings}: {error}") from None


def _check_monitors(names: Sequence[str]) -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise ValueError(f"--report_to must be none or one of {', '.join(INTEGRATION_TO_CALLBACK)}, not {name}")
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            raise ValueError(f"--report_to {name} needs a package: {error}") from None


def _check_hub() -> None:
    from huggingface_hub import HfApi

    try:
        HfApi().whoami()
    except Exception as error:  # no network, no token, or one that is refused, each with an error class of its own
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            "--push_to_hub needs the Hugging Face hub and a token in HF_TOKEN; leave it out, and push the finished run "
            f"with  python -m llm_agent.runs push  ({reason})"
        ) from None


def check_ranges(config: Any, phase: str) -> None:
    """Checks the values of a phase's configuration.

    Args:
        config: TRL's SFTConfig or GRPOConfig.
        phase: "sft" or "grpo", named in the error.

    Raises:
        ValueError: a value is out of its range.
    """
    for name, (wanted, holds) in RANGES.items():
        value = getattr(config, name, None)
        if isinstance(value, int | float) and not (holds(value) and math.isfinite(value)):
            raise ValueError(f"--{name} must be {wanted}, not {value} ({phase.upper()} phase)")


def check_disk(folder: Path, weights: int, checkpoints: int) -> None:
    """Checks that the disk has room for a run's checkpoints.

    Args:
        folder: where the run will be written; it need not exist yet.
        weights: bytes of the weights that are trained.
        checkpoints: checkpoints kept at a time, over all phases.

    Raises:
        ValueError: there is less room than the run needs.
    """
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    needed, free = DATA + COPIES * weights * checkpoints, shutil.disk_usage(there).free
    if free < needed:
        raise ValueError(
            f"the run needs about {needed // MEGABYTE} MiB on the disk of {there}, which has {free // MEGABYTE} MiB "
            "free: make room, choose another --output-dir, or keep fewer checkpoints (--save_total_limit)"
        )
