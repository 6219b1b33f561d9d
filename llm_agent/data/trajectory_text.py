"""The reasoning style ``states``: the trajectory written out, each control after the state it is computed from.

    trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, -0.50, -1.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

State, controls, working, next state, next controls, and so on to the last controls; the answer then repeats the
controls. A plan without its states has to be simulated implicitly. With them, every number follows from the few numbers
before it: controls from the state, the next state from the state and the controls. For that to be exact, demonstrations
continue from each state *as written*, rounded to `STATE_DECIMALS`.

A component of a state is written as the sum of a fine and a coarse part, the fine part first, because carries go from
the low digits to the high ones: once the fine part is known, the coarse part is needed only to within half a hundredth.

The working of a step (`llm_agent.data.working`) has one sum for each component of the next state: what its fine part is
before whole hundredths are carried, in hundredths ("-0.50" is -0.0050). A component with a nonlinear equation has the
nonlinear remainder before its sum, the coarse part first: "0.03, 0.0020+1.13" is a remainder of 0.0320 and a sum of
0.0113.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from control_envs import System
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array
from llm_agent.data.working import FINE_STEPS, STATE_DECIMALS, Working, nonlinear_components, split

__all__ = ["TRAJECTORY", "format_trajectory", "parse_trajectory"]

TRAJECTORY = "trajectory "
_PART = re.compile(r"(?:-?0\.[0-9]{4}\+)?-?[0-9]{1,6}\.[0-9]{2}")


def format_trajectory(x: ArrayLike, u: ArrayLike, working: Working) -> str:
    """States (N, n), the controls (N, m) at each of them and the working (N - 1 steps) that leads to the next."""
    states = np.round(np.asarray(x, dtype=np.float64) * 10**STATE_DECIMALS).astype(int).tolist()
    controls = (np.round(np.asarray(u, dtype=np.float64), DECIMALS) + 0.0).tolist()
    parts: list[str] = []
    for k, (state, control) in enumerate(zip(states, controls, strict=True)):
        parts += [_sum(*split(value)) for value in state]
        parts += [f"{value:.{DECIMALS}f}" for value in control]
        if k < len(states) - 1:
            parts += _format_working(working, k)
    return TRAJECTORY + ", ".join(parts)


def _format_working(working: Working, k: int) -> list[str]:
    """The working of step k, component by component."""
    parts, remainders = [], dict(zip(working.components, working.remainders[k].tolist(), strict=True))
    for i, total in enumerate(working.sums[k].tolist()):
        if i in remainders:
            coarse, fine = split(remainders[i])
            parts += [_hundredths(coarse), _sum(total, fine)]
        else:
            parts.append(_hundredths(total))
    return parts


def _sum(coarse: int, fine: int) -> str:
    """A fine and a coarse part: 41 and 38 are "0.0041+0.38"."""
    return f"{fine / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}+{_hundredths(coarse)}"


def _hundredths(value: int) -> str:
    return f"{value / FINE_STEPS:.{DECIMALS}f}"


def parse_trajectory(text: str, system: System) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a reasoning, or None if its numbers are not whole steps."""
    parts = text.partition(TRAJECTORY)[2].partition(END_REASONING)[0].split(", ")
    n, m = system.n, system.m
    working = n + len(nonlinear_components(system))
    if not all(map(_PART.fullmatch, parts)) or (len(parts) + working) % (n + m + working):
        return None
    numbers = [round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in parts]
    steps = np.array([*numbers, *[np.nan] * working]).reshape(-1, n + m + working)
    return steps[:, :n], steps[:, n : n + m]
