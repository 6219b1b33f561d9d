"""Checks of plants' settings, states and controls; each raises ValueError with the argument's name."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from control_envs.utils.types import Array

__all__ = [
    "checked_bounds",
    "checked_cost",
    "checked_count",
    "checked_float",
    "checked_numbers",
    "checked_positive",
    "checked_states",
    "nearest_names",
]

ROUNDING = 1e-12  # by which a weight matrix may miss symmetry, or an eigenvalue 0, relative to its largest entry


def checked_numbers(name: str, value: Any) -> Array:
    """An array of numbers of any shape; neither text nor truth values."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # a ragged list, or an object that refuses
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must be numbers, not {_shown(value)}")
    return array.astype(np.float64, copy=False)


def checked_states(name: str, value: Any, state_names: Sequence[str], batched: bool = False) -> Array:
    """A state (n,), or with ``batched`` states (..., n), as finite numbers."""
    array, n = checked_numbers(name, value), len(state_names)
    if array.shape[-1:] != (n,) or (array.ndim > 1 and not batched) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be {n} finite numbers ({', '.join(state_names)}), not {_shown(value)}")
    return array


def _shown(value: Any) -> str:
    return " ".join(reprlib.repr(value.tolist() if isinstance(value, np.ndarray) else value).split())


def checked_bounds(name: str, value: Any, count: int) -> Array:
    """Bounds (count, 2), read-only, from one number, one (low, high) pair or an array."""
    array = checked_numbers(name, value)
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


def checked_cost(name: str, value: Any, count: int, definite: bool = False) -> Array:
    """A weight matrix (count, count), read-only, from one number, a diagonal or a matrix.

    It is symmetric and positive semidefinite, or with ``definite`` positive definite.
    """
    array = checked_numbers(name, value)
    if array.ndim == 0 or array.shape == (count,):
        array = np.diag(np.broadcast_to(array, (count,)))
    if array.shape != (count, count) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be a finite ({count}, {count}) matrix or its diagonal")
    tolerance = ROUNDING * np.abs(array).max()
    if np.abs(array - array.T).max() > tolerance:
        raise ValueError(f"{name} must be symmetric, not {array.tolist()}")
    least = np.linalg.eigvalsh(array)[0]
    if least < -tolerance or (definite and least <= 0):
        wanted = "definite" if definite else "semidefinite"
        raise ValueError(f"{name} must be positive {wanted}, but {array.tolist()} has the eigenvalue {least:g}")
    return _frozen(array)


def _frozen(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def checked_float(name: str, value: Any) -> float:
    """A finite number."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim or not np.isfinite(array):
        raise ValueError(f"{name} must be a finite number, not {_shown(value)}")
    return float(array)


def checked_positive(name: str, value: Any) -> float:
    """A finite positive number."""
    if checked_float(name, value) <= 0:
        raise ValueError(f"{name} must be positive, not {value!r}")
    return float(value)


def checked_count(name: str, value: Any) -> int:
    """A whole number of at least 1."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim or not float(array).is_integer() or array < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {_shown(value)}")
    return int(array)


def nearest_names(key: str, names: set[str]) -> str:
    """A sentence with the closest names, or all of them, with a leading blank."""
    close = difflib.get_close_matches(key, sorted(names), n=2)
    return f" Did you mean {' or '.join(close)}?" if close else f" It has {', '.join(sorted(names))}."
