"""Results that take long and never change, kept on disk: one file for each plant, its settings and its states."""

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


def cache_dir() -> Path:
    """Where results are kept: ``$CONTROL_GRPO_CACHE``, or ``control-grpo`` in the user's cache folder."""
    home = os.environ.get("CONTROL_GRPO_CACHE")
    return Path(home) if home else Path(need("platformdirs", "baselines").user_cache_dir("control-grpo"))


def cached(
    kind: str, method: str, system: System, x0: Array, use: bool, compute: Callable[[], dict[str, Array]]
) -> dict[str, Array]:
    """``compute()``'s arrays, read from the cache if they are there and written to it if they are not.

    Args:
        kind: what is computed.
        method: how; another method is another file.
        use: False neither reads nor writes.
    """
    path = cache_dir() / f"{kind}-{system.name}-{_key(method, system, x0)}.npz"
    if use and path.is_file():
        try:
            with np.load(path) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # a damaged file is computed again
            pass
    fields = compute()
    if use:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part.npz")
            np.savez_compressed(part, **fields)  # type: ignore[arg-type]
            part.replace(path)
        except OSError:  # a cache that cannot be written costs time and nothing else
            pass
    return fields


def _key(method: str, system: System, x0: Array) -> str:
    """Names a plant by its settings and by what it does (its vector field is code), with the states."""
    rng = np.random.default_rng(0)
    x, u = rng.uniform(-1, 1, (8, system.n)), rng.uniform(-1, 1, (8, system.m))
    does = system.step(x * system.x_scale, u * system.u_scale)
    text = json.dumps([method, system.to_dict()], sort_keys=True)
    return hashlib.sha256(text.encode() + does.tobytes() + np.ascontiguousarray(x0).tobytes()).hexdigest()[:20]
