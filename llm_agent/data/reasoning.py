"""The reasoning of a completion: empty, the gains of state feedback u = -K x, or gains and states."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.trajectory_text import format_trajectory
from llm_agent.data.working import Working

__all__ = [
    "GAIN_DECIMALS",
    "REASONINGS",
    "WITH_STATES",
    "Reasoning",
    "format_gains",
    "format_reasoning",
    "format_waypoints",
    "gain_names",
    "gains_end",
    "parse_gains",
]

Reasoning = Literal["none", "brief", "waypoints", "states", "working"]
REASONINGS: tuple[Reasoning, ...] = ("none", "brief", "waypoints", "states", "working")
WITH_STATES: tuple[Reasoning, ...] = ("states", "working")  # they write the whole trajectory
GAIN_DECIMALS = 1
_SEGMENTS = 10  # parts that waypoints divide a trajectory into
_GAIN = re.compile(r"\bk[0-9]{1,4}=(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)(?![0-9])")


def gain_names(n: int, m: int) -> list[str]:
    """Names of the gains in the order of ``K.ravel()``: k1, k2 for one control; k11, k12, k21 ... for several."""
    return [f"k{j + 1}" if m == 1 else f"k{i + 1}{j + 1}" for i in range(m) for j in range(n)]


def format_gains(K: ArrayLike) -> str:
    """A gain matrix (m, n) as text: "feedback k1=3.2 k2=2.5"."""
    K = np.asarray(K, dtype=np.float64)
    m, n = K.shape
    gains = zip(gain_names(n, m), K.ravel(), strict=True)
    return "feedback " + " ".join(f"{name}={value + 0.0:.{GAIN_DECIMALS}f}" for name, value in gains)


def format_reasoning(
    style: Reasoning, K: ArrayLike | None, x: ArrayLike, u: ArrayLike, working: Working | None = None
) -> str:
    """The reasoning of one demonstration.

    Args:
        style: "none" is empty; "brief" states the gains; "waypoints" also the states at each tenth of the trajectory;
            "states" also the whole trajectory, and "working" its working too (`llm_agent.data.trajectory_text`).
        K: the feedback gains, (m, n); None for a plan that has none.
        x: for waypoints the predicted states, (N + 1, n); for a trajectory the states at its controls, (N, n).
        u: the controls, (N, m); used for the trajectory only.
        working: of the trajectory's steps; for the style of that name only.
    """
    if style == "none":
        return ""
    parts = [] if K is None else [format_gains(K)]
    if style == "waypoints":
        parts.append(format_waypoints(x))
    elif style in WITH_STATES:
        parts.append(format_trajectory(x, u, working))
    return "; ".join(parts)


def format_waypoints(x: ArrayLike) -> str:
    """The states (N + 1, n) at each tenth of the trajectory, without its ends, as one list of numbers."""
    states = np.asarray(x, dtype=np.float64)
    indices = np.unique(np.linspace(0, len(states) - 1, _SEGMENTS + 1).round().astype(int))[1:-1]
    return ", ".join(f"{value:.{DECIMALS}f}" for value in np.round(states[indices], DECIMALS).ravel() + 0.0)


def gains_end(text: str) -> int:
    """Where the statement of gains in a completion ends; 0 without one."""
    return max((match.end() for match in _GAIN.finditer(text)), default=0)


def parse_gains(text: str, n: int, m: int) -> Array | None:
    """The gain matrix (m, n) that a completion states, or None if it does not state exactly n * m gains."""
    values = [float(value) for value in _GAIN.findall(text)]
    return np.array(values).reshape(m, n) if len(values) == n * m else None
