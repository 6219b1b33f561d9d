"""The reasoning style ``states``: the trajectory written out, each control after the state it is computed from.

    trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

State, controls, next state, next controls, and so on to the last controls; the answer then repeats the controls. A plan
without its states has to be simulated implicitly. With them, every number follows from the few numbers before it:
controls from the state, the next state from the state and the controls. For that to be exact, demonstrations continue
from each state *as written*, rounded to `STATE_DECIMALS`.

A component of a state is written as the sum of a fine and a coarse part, the fine part first, because carries go from
the low digits to the high ones: the fine part is a sum modulo a hundredth, and once it is known, the coarse part is
needed only to within half a hundredth.

The style ``working`` writes the working of a step (`llm_agent.data.working`) between its controls and the next state:

    working 0.0000+0.40, 0.0000+-0.20, -1.00, 0.0000+-0.50, 0.0000+0.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

For each component of the next state these are the fine parts of its products and then their sum with the state's fine
part, in hundredths ("-0.50" is -0.0050). A component with a nonlinear equation has its remainder first, the fine part
among the products: "0.03, 0.0012+0.0020+1.13" is one product, a remainder of 0.0320 and a sum of 0.0113.
"""

from __future__ import annotations

import re
from itertools import cycle

import numpy as np
from numpy.typing import ArrayLike

from control_envs import System
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array
from llm_agent.data.working import FINE_STEPS, STATE_DECIMALS, Working, nonlinear_components, split

__all__ = ["TRAJECTORY", "WORKING", "format_trajectory", "parse_trajectory"]

TRAJECTORY, WORKING = "trajectory ", "working "
_NUMBER = r"-?[0-9]{1,6}\.[0-9]{2}"
_FINE = r"-?0\.[0-9]{4}\+"
_COMPONENT, _CONTROL = re.compile(_FINE + _NUMBER), re.compile(_NUMBER)
_WORKING = re.compile(rf"(?:{_FINE})*{_NUMBER}")


def format_trajectory(x: ArrayLike, u: ArrayLike, working: Working | None = None) -> str:
    """States (N, n) and the controls (N, m) at each of them, in turn.

    Args:
        working: the working of the N - 1 steps, to be written too.
    """
    states = np.round(np.asarray(x, dtype=np.float64) * 10**STATE_DECIMALS).astype(int).tolist()
    controls = (np.round(np.asarray(u, dtype=np.float64), DECIMALS) + 0.0).tolist()
    parts: list[str] = []
    for k, (state, control) in enumerate(zip(states, controls, strict=True)):
        parts += [_sum([fine], coarse) for coarse, fine in map(split, state)]
        parts += [f"{value:.{DECIMALS}f}" for value in control]
        if working is not None and k < len(states) - 1:
            parts += _format_working(working, k)
    return (TRAJECTORY if working is None else WORKING) + ", ".join(parts)


def _format_working(working: Working, k: int) -> list[str]:
    """The working of step k, component by component."""
    parts = []
    for i, (products, total) in enumerate(zip(working.products, working.sums[k].tolist(), strict=True)):
        terms = products[k].tolist()
        if i in working.remainders:
            coarse, fine = split(int(working.remainders[i][k]))
            parts.append(_sum([], coarse))
            terms.append(fine)
        parts.append(_sum(terms, total))
    return parts


def _sum(fine: list[int], hundredths: int) -> str:
    """Fine parts and hundredths: [41] and 38 are "0.0041+0.38"."""
    terms = [f"{part / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}" for part in fine]
    return "+".join([*terms, f"{hundredths / FINE_STEPS:.{DECIMALS}f}"])


def parse_trajectory(text: str, system: System) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a reasoning, with or without working; None if it is not whole steps."""
    found = re.search(f"{TRAJECTORY}|{WORKING}", text)
    if not found:
        return None
    n, m = system.n, system.m
    step = [_COMPONENT] * n + [_CONTROL] * m
    if found[0] == WORKING:
        for i in range(n):
            step += [_CONTROL, _WORKING] if i in nonlinear_components(system) else [_WORKING]
    parts = text[found.end() :].partition(END_REASONING)[0].split(", ")
    if (len(parts) - n - m) % len(step) or not all(map(re.Pattern.fullmatch, cycle(step), parts)):
        return None
    steps = [parts[i : i + n + m] for i in range(0, len(parts), len(step))]
    numbers = np.array([[round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in row] for row in steps])
    return numbers[:, :n], numbers[:, n:]
