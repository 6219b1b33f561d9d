"""Seeded initial states for training, validation and test that cannot overlap.

Initial states lie on a grid, so independent draws would meet again and again. Instead the state itself says
which split it belongs to: a hash of its grid coordinates sends 80 % of the grid to train and 10 % each to
validation and test. Splits are disjoint by construction, whatever the seeds and counts.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from control_envs.systems.base import System
from control_envs.utils.types import Array

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

    State i depends on (split, seed, i) alone, so that a longer sample begins with the shorter one. Streams come
    from ``SeedSequence([split, seed, block])``: neighbouring seeds share nothing.

    Raises:
        ValueError: unknown split, or a box so small that no grid point of it belongs to the split.
    """
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}: choose from {', '.join(SPLITS)}")
    wanted = SPLITS.index(split)
    found: list[Array] = []
    block = total = 0
    while total < count:
        rng = np.random.default_rng(np.random.SeedSequence([wanted, seed, block]))
        x0 = system.sample_x0(rng, _BLOCK, decimals)
        found.append(x0[split_of(x0, decimals) == wanted])
        total += len(found[-1])
        block += 1
        if block == 64 and total == 0:
            raise ValueError(f"x0_bounds {system.x0_bounds.tolist()} hold no state of the {split} split")
    return np.concatenate(found)[:count] if found else np.empty((0, system.n))


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
