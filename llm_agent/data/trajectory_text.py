"""The reasoning style ``states``: the trajectory written out, each control after the state it is computed from.

    trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

State, controls, next state, next controls, and so on to the last controls; the answer then repeats the controls. A plan
without its states has to be simulated implicitly. With them, every number follows from the few numbers before it:
controls from the state, the next state from the state and the controls. For that to be exact, demonstrations continue
from each state *as written*, rounded to `STATE_DECIMALS`.

A component of a state is written as the sum of a fine and a coarse part, the fine part first, because carries go from
the low digits to the high ones: the fine part is a sum modulo a hundredth, and once it is known, the coarse part is
needed only to within half a hundredth.

With its working, a trajectory is written in another form (`llm_agent.data.working_text`).
"""

from __future__ import annotations

import re
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike

from control_envs import System
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array
from llm_agent.data.component_sum import FINE_STEPS, STATE_DECIMALS, split
from llm_agent.data.working import Working
from llm_agent.data.working_text import format_working, read_working

__all__ = ["TRAJECTORY", "format_trajectory", "parse_trajectory"]

TRAJECTORY = "trajectory "
_NUMBER = r"-?[0-9]{1,6}\.[0-9]{2}"
_COMPONENT, _CONTROL = re.compile(rf"-?0\.[0-9]{{4}}\+{_NUMBER}"), re.compile(_NUMBER)


def format_trajectory(x: ArrayLike, u: ArrayLike, working: Working | None = None) -> str:
    """States (N, n) and the controls (N, m) at each of them, in turn.

    Args:
        working: the working of the N - 1 steps, to be written too.
    """
    states = np.round(np.asarray(x, dtype=np.float64) * 10**STATE_DECIMALS).astype(int)
    controls = np.round(np.asarray(u, dtype=np.float64), DECIMALS)
    if working is not None:
        return format_working(states, np.round(controls * 10**DECIMALS).astype(int), working)
    parts: list[str] = []
    for state, control in zip(states.tolist(), (controls + 0.0).tolist(), strict=True):
        for coarse, fine in map(split, state):
            parts.append(f"{fine / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}+{coarse / FINE_STEPS:.{DECIMALS}f}")
        parts += [f"{value:.{DECIMALS}f}" for value in control]
    return TRAJECTORY + ", ".join(parts)


def parse_trajectory(text: str, system: System) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a reasoning, with or without working; None if it is not whole steps."""
    _, found, after = text.partition(TRAJECTORY)
    if not found:
        return read_working(text, system)
    n, m = system.n, system.m
    step = [_COMPONENT] * n + [_CONTROL] * m
    parts = after.partition(END_REASONING)[0].split(", ")
    if len(parts) % len(step) or not all(map(re.Pattern.fullmatch, cycle(step), parts)):
        return None
    numbers = np.array([round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in parts])
    steps = numbers.reshape(-1, len(step))
    return steps[:, :n], steps[:, n:]
