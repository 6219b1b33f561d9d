"""Seeded initial states for training, validation and test, in disjoint splits.

Initial states lie on a grid, so that independent samples would often coincide. Instead, a hash of its grid coordinates
assigns each state to a split: 80 % of the grid to train, 10 % each to validation and test. The splits are disjoint for
all seeds and counts.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from control_envs.systems.base import System
from control_envs.utils.types import Array

__all__ = ["SPLITS", "Split", "sample_states", "split_of"]

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_BLOCK = 1024


def split_of(x0: Array, decimals: int = 2) -> np.ndarray:
    """The split of each state (..., n), as an index into `SPLITS`, shape (...)."""
    coordinates = np.rint(np.asarray(x0) * 10**decimals).astype(np.int64).view(np.uint64)
    key = np.zeros(coordinates.shape[:-1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for i in range(coordinates.shape[-1]):
            key = _mix(key + coordinates[..., i])
    tenth = key % np.uint64(10)
    return np.where(tenth < 8, 0, tenth.astype(np.int64) - 7)


def sample_states(system: System, count: int, split: Split = "test", seed: int = 0, decimals: int = 2) -> Array:
    """``count`` initial states of one split, shape (count, n).

    State i depends on (split, seed, i) alone, so that a longer sample begins with the shorter one. Random streams
    come from ``SeedSequence([split, seed, block])``, so that neighbouring seeds are independent.

    Raises:
        ValueError: unknown split, or bounds so tight that no grid point inside them belongs to the split.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}: choose from {', '.join(SPLITS)}")
    split_index = SPLITS.index(split)
    batches: list[Array] = []
    block = total = 0
    while total < count:
        rng = np.random.default_rng(np.random.SeedSequence([split_index, seed, block]))
        x0 = system.sample_x0(rng, _BLOCK, decimals)
        batches.append(x0[split_of(x0, decimals) == split_index])
        total += len(batches[-1])
        block += 1
        if block == 64 and total == 0:
            raise ValueError(f"x0_bounds {system.x0_bounds.tolist()} contain no state of the {split} split")
    return np.concatenate(batches)[:count] if batches else np.empty((0, system.n))


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed
