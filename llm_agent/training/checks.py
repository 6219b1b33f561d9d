"""Checks before any work starts: values that a later phase would refuse, and room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["check_disk", "check_ranges"]

POSITIVE: tuple[str, Callable[[float], bool]] = ("positive", lambda value: value > 0)
NOT_NEGATIVE: tuple[str, Callable[[float], bool]] = ("0 or more", lambda value: value >= 0)
COUNT: tuple[str, Callable[[float], bool]] = ("at least 1", lambda value: value >= 1)
SHARE: tuple[str, Callable[[float], bool]] = ("between 0 and 1", lambda value: 0 <= value <= 1)
# Options of TRL's SFTConfig and GRPOConfig; those that a configuration lacks, or leaves at None, are not checked.
RANGES = {
    "learning_rate": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
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
    "num_iterations": COUNT,
    "steps_per_generation": COUNT,
    "repetition_penalty": POSITIVE,
    "adam_beta1": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "adam_beta2": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "num_generations": ("at least 2, since advantages compare the completions of a group", lambda value: value >= 2),
    "top_entropy_quantile": SHARE,
    "max_completion_length": COUNT,
}
MEGABYTE = 2**20
DATA = 64 * MEGABYTE  # demonstrations, logs, evaluation and report
COPIES = 3  # a checkpoint holds the weights and Adam's two moments


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
        if isinstance(value, int | float) and not holds(value):
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
