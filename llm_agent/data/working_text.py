"""The text of a trajectory with its working (`llm_agent.data.working`), the reasoning style ``working``:

    working x1 0.0041+0.56, x2 0.0038+0.24, -2.40 p 0.0040 s 0.81 p -0.0020 s 0.65 d 0.02 e -0.02 p 0.0000 s 0.38 ...

State and controls are followed by numbers whose letters say what they are, so that a model never has to count how far
it is:

`x1` is a component of the state, its fine part first; the other letters are in `llm_agent.data.working`.
"""

from __future__ import annotations

import re

import numpy as np

from control_envs import System
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array
from llm_agent.data.component_sum import FINE_STEPS, STATE_DECIMALS, split
from llm_agent.data.working import PART, Working, work

__all__ = ["WORKING", "component_label", "format_working", "read_working"]

WORKING = "working"
_WORD = re.compile(rf"\b{WORKING}(?= x1 )")
_COARSE, _FINE = rf"-?[0-9]{{1,6}}\.[0-9]{{{DECIMALS}}}", rf"-?0\.[0-9]{{{STATE_DECIMALS}}}"


def component_label(i: int) -> str:
    """The label of a component of the state: "x1" for the first."""
    return f"x{i + 1}"


def format_working(x: Array, u: Array, working: Working) -> str:
    """States (N, n) on their grid in fine steps, controls (N, m) in hundredths, and the working of the N - 1 steps."""
    parts = [WORKING]
    steps = [(letter, numbers.tolist()) for letter, numbers in working]
    for k, (state, control) in enumerate(zip(x.tolist(), u.tolist(), strict=True)):
        labelled = [f"{component_label(i)} {_fine(f)}+{_coarse(c)}" for i, (c, f) in enumerate(map(split, state))]
        parts.append(", ".join([*labelled, *map(_coarse, control)]))
        if k < len(x) - 1:
            parts += [_number(letter, numbers[k]) for letter, numbers in steps]
    return " ".join(parts)


def _number(letter: str, value: int) -> str:
    """A number of the working with its letter."""
    return f"{letter} {_fine(value) if letter == PART else _coarse(value)}"


def _fine(steps: int) -> str:
    return f"{steps / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}"


def _coarse(steps: int) -> str:
    return f"{steps / FINE_STEPS:.{DECIMALS}f}"


def read_working(text: str, system: System) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a text of this style; None if it is not whole steps."""
    found = _WORD.search(text)
    if not found:
        return None
    state, step = _patterns(system)
    written = text[found.end() :].partition(END_REASONING)[0]
    if not re.fullmatch(f"{state}(?:{step}{state})*", written):
        return None
    n = system.n
    rows = np.array(re.findall(state, written), dtype=np.float64).reshape(-1, 2 * n + system.m)
    fine, coarse = rows[:, 0 : 2 * n : 2], rows[:, 1 : 2 * n : 2]
    return np.round(fine + coarse, STATE_DECIMALS), rows[:, 2 * n :]


def _patterns(system: System) -> tuple[str, str]:
    """Regular expressions of a state with its controls, whose numbers are groups, and of a step's working."""
    state = [rf"{component_label(i)} ({_FINE})\+({_COARSE})" for i in range(system.n)]
    state += [f"({_COARSE})"] * system.m
    letters = [letter for letter, _ in work(system, np.zeros((1, system.n)), np.zeros((1, system.m)))]
    step = [f" {letter} {_FINE if letter == PART else _COARSE}" for letter in letters]
    return " " + ", ".join(state), "".join(step)
