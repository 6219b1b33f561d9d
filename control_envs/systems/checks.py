"""Checks of the arguments of `control_envs.systems.base.System`; each raises ValueError with the argument's name."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from control_envs.utils.types import Array

__all__ = ["checked_bounds", "checked_cost", "checked_count", "checked_float", "checked_positive", "nearest_names"]


def checked_bounds(name: str, value: Any, count: int) -> Array:
    """Bounds (count, 2), read-only, from one number, one (low, high) pair or an array."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.array([-array, array])
    if array.shape == (2,):
        array = np.tile(array, (count, 1))
    if array.shape != (count, 2):
        raise ValueError(f"{name} has shape {array.shape}: give one number, one (low, high) pair, or ({count}, 2)")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, not {array.tolist()}")
    if np.any(array[:, 0] >= array[:, 1]):
        raise ValueError(f"{name} {array.tolist()} is upside down: each low must be less than its high")
    return _frozen(array)


def checked_cost(name: str, value: Any, count: int) -> Array:
    """A weight matrix (count, count), read-only, from one number, a diagonal or a matrix."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0 or array.shape == (count,):
        array = np.diag(np.broadcast_to(array, (count,)))
    if array.shape != (count, count) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be a finite ({count}, {count}) matrix or its diagonal")
    return _frozen(array)


def _frozen(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def checked_float(name: str, value: Any) -> float:
    """A finite number."""
    if not np.isscalar(value) or not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return float(value)  # type: ignore[arg-type]


def checked_positive(name: str, value: Any) -> float:
    """A finite positive number."""
    if checked_float(name, value) <= 0:
        raise ValueError(f"{name} must be positive, not {value!r}")
    return float(value)


def checked_count(name: str, value: Any) -> int:
    """A whole number of at least 1."""
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)


def nearest_names(key: str, names: set[str]) -> str:
    """A sentence with the closest names, or all of them, with a leading blank."""
    close = difflib.get_close_matches(key, sorted(names), n=2)
    return f" Did you mean {' or '.join(close)}?" if close else f" It has {', '.join(sorted(names))}."
