"""What a completion's reasoning says: nothing, the state feedback u = -K x, or beside it the states to come."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from control_envs.codec import DECIMALS
from control_envs.systems.base import Array
from llm_agent.state_reasoning import format_trajectory

Reasoning = Literal["none", "brief", "waypoints", "states"]
REASONINGS: tuple[Reasoning, ...] = ("none", "brief", "waypoints", "states")
GAIN_DECIMALS = 1
_SEGMENTS = 10  # waypoints part a flight into so many
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


def format_reasoning(style: Reasoning, K: ArrayLike | None, x: ArrayLike, u: ArrayLike) -> str:
    """The reasoning of one demonstration.

    Args:
        style: "none" is empty; "brief" states the law; "waypoints" also the states at each tenth of the flight;
            "states" also the whole trajectory, each control beside the state it is computed from.
        K: the law, (m, n); None where the plan follows none, and then only a trajectory is left to write.
        x: the states that the law leads through, (N + 1, n); of a trajectory those that the controls follow, (N, n).
        u: the controls, (N, m); used for the trajectory alone.
    """
    if style == "none":
        return ""
    law = [] if K is None else [format_law(K)]
    states = {"waypoints": lambda: [format_waypoints(x)], "states": lambda: [format_trajectory(x, u)]}
    return "; ".join([*law, *states.get(style, list)()])


def format_waypoints(x: ArrayLike) -> str:
    """The states (N + 1, n) at each tenth of the flight, its ends left out, one after the other."""
    states = np.asarray(x, dtype=np.float64)
    at = np.unique(np.linspace(0, len(states) - 1, _SEGMENTS + 1).round().astype(int))[1:-1]
    return ", ".join(f"{value:.{DECIMALS}f}" for value in np.round(states[at], DECIMALS).ravel() + 0.0)


def parse_law(text: str, n: int, m: int) -> Array | None:
    """The gain matrix (m, n) that a completion states, or None if it does not state exactly one of each gain."""
    values = [float(value) for value in _GAIN.findall(text)]
    return np.array(values).reshape(m, n) if len(values) == n * m else None
