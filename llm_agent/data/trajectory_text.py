"""The reasoning style ``states``: the trajectory written out, each control after the state it is computed from.

    trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

State, controls, next state, next controls, and so on to the last control; the answer then repeats the controls. A plan
without its states has to be simulated implicitly. With them, every number follows from the few numbers before it:
controls from the state, the next state from the state and the controls. For that to be exact, demonstrations continue
from each state *as written*, rounded to `STATE_DECIMALS`.

A component of a state is written as the sum of a fine and a coarse part, the fine part first, because carries go from
the low digits to the high ones: the fine part is a sum modulo a hundredth, and once it is known, the coarse part is
needed only to within half a hundredth.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array

__all__ = ["FINE_STEPS", "STATE_DECIMALS", "TRAJECTORY", "format_trajectory", "parse_trajectory"]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
TRAJECTORY = "trajectory "
_PART = re.compile(r"(?:-?0\.[0-9]{4}\+)?-?[0-9]{1,6}\.[0-9]{2}")


def format_trajectory(x: ArrayLike, u: ArrayLike) -> str:
    """States (N, n) and the controls (N, m) at each of them, in turn."""
    states, controls = np.asarray(x, dtype=np.float64), np.round(np.asarray(u, dtype=np.float64), DECIMALS) + 0.0
    steps = (
        [*map(_format_component, state), *(f"{value:.{DECIMALS}f}" for value in control)]
        for state, control in zip(states.tolist(), controls.tolist(), strict=True)
    )
    return TRAJECTORY + ", ".join(part for step in steps for part in step)


def _format_component(value: float) -> str:
    """One component of a state as a sum: 0.3841 is "0.0041+0.38", and 0.3899 is "-0.0001+0.39"."""
    fine = round(value * 10**STATE_DECIMALS)
    coarse = (fine + FINE_STEPS // 2) // FINE_STEPS
    fine -= coarse * FINE_STEPS
    return f"{fine / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}+{coarse / 10**DECIMALS:.{DECIMALS}f}"


def parse_trajectory(text: str, n: int, m: int) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a reasoning, or None if its numbers are not whole steps."""
    parts = text.partition(TRAJECTORY)[2].partition(END_REASONING)[0].split(", ")
    if not all(map(_PART.fullmatch, parts)) or len(parts) % (n + m):
        return None
    numbers = [round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in parts]
    steps = np.array(numbers).reshape(-1, n + m)
    return steps[:, :n], steps[:, n:]
