"""State-feedback laws u = -K x as the words that a completion's reasoning states them in."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from control_envs.systems.base import Array

GAIN_DECIMALS = 1
_GAIN = re.compile(r"\bk[0-9]{1,4}=(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)(?![0-9])")


def gain_names(n: int, m: int) -> list[str]:
    """Names of the gains in the order of ``K.ravel()``: k1, k2 for one control; k11, k12, k21 ... for several."""
    return [f"k{j + 1}" if m == 1 else f"k{i + 1}{j + 1}" for i in range(m) for j in range(n)]


def format_law(K: ArrayLike) -> str:
    """A gain matrix (m, n) in words: "feedback k1=3.2 k2=2.5"."""
    K = np.asarray(K, dtype=np.float64)
    m, n = K.shape
    gains = zip(gain_names(n, m), K.ravel(), strict=True)
    return "feedback " + " ".join(f"{name}={value + 0.0:.{GAIN_DECIMALS}f}" for name, value in gains)


def parse_law(text: str, n: int, m: int) -> Array | None:
    """The gain matrix (m, n) that a completion states, or None if it does not state exactly one of each gain."""
    values = [float(value) for value in _GAIN.findall(text)]
    return np.array(values).reshape(m, n) if len(values) == n * m else None
