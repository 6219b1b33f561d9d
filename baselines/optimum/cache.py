"""A disk cache of slow, deterministic results: one file for each plant with its settings and initial states."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from control_envs import System
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["cache_dir", "cached"]


def cache_dir() -> Path:
    """The cache folder: ``$CONTROL_GRPO_CACHE``, or ``control-grpo`` in the user's cache folder."""
    home = os.environ.get("CONTROL_GRPO_CACHE")
    return Path(home) if home else Path(need("platformdirs", "baselines").user_cache_dir("control-grpo"))


def cached(
    kind: str, method: str, system: System, x0: Array, use: bool, compute: Callable[[], dict[str, Array]]
) -> dict[str, Array]:
    """The arrays of ``compute()``, read from the cache or else computed and written to it.

    Args:
        kind: what is computed; the beginning of the file's name.
        method: how it is computed; part of the key.
        system: the plant; part of the key.
        x0: initial states; part of the key.
        use: False neither reads nor writes.
        compute: returns the arrays by name.
    """
    path = cache_dir() / f"{kind}-{system.name}-{_key(method, system, x0)}.npz"
    if use and path.is_file():
        try:
            with np.load(path) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # a damaged file is recomputed
            pass
    fields = compute()
    if use:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part.npz")
            np.savez_compressed(part, **fields)  # type: ignore[arg-type]
            part.replace(path)
        except OSError:  # without a writable cache, results are recomputed
            pass
    return fields


def _key(method: str, system: System, x0: Array) -> str:
    """A hash of method, settings, initial states, and steps from random states (the vector field itself is code)."""
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-1, 1, (8, system.n)), rng.uniform(-1, 1, (8, system.m))
    steps = system.step(x * system.x_scale, u * system.u_scale)
    text = json.dumps([method, system.to_dict()], sort_keys=True)
    return hashlib.sha256(text.encode() + steps.tobytes() + np.ascontiguousarray(x0).tobytes()).hexdigest()[:20]
