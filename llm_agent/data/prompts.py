"""Rows of prompts for GRPO, with an optional curriculum over initial states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import System, format_prompt, get_system, sample_states
from control_envs.systems.initial_states import Split
from control_envs.utils.types import Array

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["derived_seed", "list_prompts", "make_prompts", "prompt_rows", "split_evenly"]

_LEVELS = 9  # sizes of the box of initial states before the full one


def make_prompts(
    systems: list[str], count: int, split: Split = "train", seed: int = 0, curriculum: float = 0.0
) -> Dataset:
    """``count`` prompts, divided evenly among the plants and shuffled.

    Args:
        systems: names of the plants.
        split: the split of initial states to draw from.
        seed: the seed of the initial states and of the order.
        curriculum: share of the prompts, at the beginning, whose initial states come from smaller boxes. The box grows
            in nine steps, from a tenth of its size about its centre to nine tenths. Each step is shuffled by itself.

    Returns:
        The columns ``prompt, system, x0``.
    """
    from datasets import Dataset

    return Dataset.from_list(list_prompts(systems, count, split, seed, curriculum))


def list_prompts(
    systems: list[str], count: int, split: Split = "train", seed: int = 0, curriculum: float = 0.0
) -> list[dict[str, Any]]:
    """The rows of `make_prompts` as plain dictionaries, without the library ``datasets``."""
    rows: list[dict[str, Any]] = []
    levels = split_evenly(round(count * curriculum), _LEVELS)
    for level, size in enumerate([*levels, count - sum(levels)]):
        level_rows = []
        for name, plant_count in zip(systems, split_evenly(size, len(systems)), strict=True):
            system = _with_smaller_box(get_system(name), (level + 1) / (_LEVELS + 1))
            level_rows += prompt_rows(system, sample_states(system, plant_count, split, derived_seed(seed, level)))
        order = np.random.default_rng(derived_seed(seed, level)).permutation(len(level_rows))
        rows += [level_rows[i] for i in order]
    return rows


def prompt_rows(system: System, x0: Array) -> list[dict[str, Any]]:
    """One row for each initial state (count, n), with the columns that rewards need: ``prompt, system, x0``."""
    return [{"prompt": format_prompt(system, x), "system": system.name, "x0": x.tolist()} for x in x0]


def _with_smaller_box(system: System, size: float) -> System:
    """The plant with its box of initial states scaled by ``size`` about its centre."""
    centre = system.x0_bounds.mean(axis=1, keepdims=True)
    return system if size == 1 else system.replace(x0_bounds=centre + size * (system.x0_bounds - centre))


def split_evenly(count: int, parts: int) -> list[int]:
    """``count`` as that many whole numbers, equal to within one."""
    return [count // parts + (i < count % parts) for i in range(parts)]


def derived_seed(*entropy: int) -> int:
    """A seed for an independent random stream; nearby inputs give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
