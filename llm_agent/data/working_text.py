"""The text of a trajectory with its working (`llm_agent.data.working`), the reasoning style ``working``:

    working x1 0.0041+0.56, x2 0.0038+0.24, -2.40 p 0.0040 s 0.81 p -0.0020 s 0.65 d 0.02 e -0.02 p 0.0000 s 0.38 ...

State and controls are followed by numbers whose letters say what they are, so that a model never has to count how far
it is:

    x1 .. xn  a component of the state, its fine part first
    r         the coarse part of the remainder, of a nonlinear component
    p         what is added next: a product of a fine part, or the fine part of a product or of the remainder
    s         the sum so far, in hundredths, before whole hundredths are carried
    d         the change of the coarse part: by the products so far, and last of all the whole of it
    e         the new coarse part less the tenth that is nearest to the old one
"""

from __future__ import annotations

import re

import numpy as np

from control_envs import System
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array
from llm_agent.data.working import (
    FINE_STEPS,
    STATE_DECIMALS,
    Working,
    counted_products,
    nonlinear_components,
    split,
    written_couplings,
    written_products,
)

__all__ = ["LABELS", "REMAINDER", "WORKING", "component_label", "format_working", "read_working"]

WORKING = "working"
REMAINDER, PART, SUM, CHANGE, FROM_TENTH = LABELS = "r", "p", "s", "d", "e"
_WORD = re.compile(rf"\b{WORKING}(?= x1 )")
_COARSE, _FINE = rf"-?[0-9]{{1,6}}\.[0-9]{{{DECIMALS}}}", rf"-?0\.[0-9]{{{STATE_DECIMALS}}}"


def component_label(i: int) -> str:
    """The label of a component of the state: "x1" for the first."""
    return f"x{i + 1}"


def format_working(x: Array, u: Array, working: Working) -> str:
    """States (N, n) on their grid in fine steps, controls (N, m) in hundredths, and the working of the N - 1 steps."""
    parts = [WORKING]
    for k, (state, control) in enumerate(zip(x.tolist(), u.tolist(), strict=True)):
        labelled = [f"{component_label(i)} {_fine(f)}+{_coarse(c)}" for i, (c, f) in enumerate(map(split, state))]
        parts.append(", ".join([*labelled, *map(_coarse, control)]))
        if k < len(x) - 1:
            parts += _format_step(working, k)
    return " ".join(parts)


def _format_step(working: Working, k: int) -> list[str]:
    """The working of step k, component by component."""
    parts = []
    for i, (terms, sums, counts) in enumerate(zip(working.terms, working.sums, working.counts, strict=True)):
        added = [
            f"{PART} {_fine(term)} {SUM} {_coarse(total)}"
            for term, total in zip(terms[k].tolist(), sums[k].tolist(), strict=True)
        ]
        for place, changes in counts.items():
            added[place] += f" {CHANGE} {_coarse(int(changes[k]))}"
        if i in working.remainders:
            added[-1] = f"{REMAINDER} {_coarse(split(int(working.remainders[i][k]))[0])} {added[-1]}"
        parts += added
        parts.append(f"{CHANGE} {_coarse(working.changes[k, i])}")
        parts.append(f"{FROM_TENTH} {_coarse(working.from_tenths[k, i])}")
    return parts


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
    term, change = rf" {PART} {_FINE} {SUM} {_COARSE}", rf" {CHANGE} {_COARSE}"
    step = []
    for i in range(system.n):
        step += [term] * int(written_couplings(system)[i].sum())
        counted = counted_products(system)[i][written_products(system)[i]]
        step += [term + change if moves else term for moves in counted]
        if i in nonlinear_components(system):
            step.append(rf" {REMAINDER} {_COARSE}{term}")
        step.append(rf"{change} {FROM_TENTH} {_COARSE}")
    return " " + ", ".join(state), "".join(step)
