"""The reasoning style ``states``: the trajectory written out, each control after the state it is computed from.

    trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, 0.03+0.0020, -0.0042+0.38, -0.0011+-0.27, -0.16, ...

State, controls, remainder, next state, next controls, and so on to the last control; the answer then repeats the
controls. A plan without its states has to be simulated implicitly. With them, every number follows from the few numbers
before it: controls from the state, the remainder from both, and the next state from all three:

    x+ = A x + B u + r(x, u)

where A, B is the linearisation about the origin that LQR uses. For that to be exact, demonstrations continue from each
state *as written*, rounded to `STATE_DECIMALS`.

The parts have different forms, because they are learned differently.

* The next state is a linear sum. It is written as a fine and a coarse part, the fine part first, because carries go
  from the low digits to the high ones: the fine part is a sum modulo a hundredth, and once it is known, the coarse part
  is needed only to within half a hundredth.
* The remainder is the only nonlinear function. It is small, and a per cent of it is exact enough, so that its coarse
  part comes first. It is written for the components whose equation is nonlinear (`nonlinear_components`), and a linear
  plant has none.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike

from control_envs import System
from control_envs.dynamics.riccati import physical_problem
from control_envs.text import DECIMALS, END_REASONING
from control_envs.utils.types import Array

__all__ = [
    "FINE_STEPS",
    "STATE_DECIMALS",
    "TRAJECTORY",
    "format_trajectory",
    "nonlinear_components",
    "parse_trajectory",
    "remainder",
]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
TRAJECTORY = "trajectory "
_PART = re.compile(r"(?:-?[0-9]{1,6}\.[0-9]{2,4}\+)?-?[0-9]{1,6}\.[0-9]{2,4}")


def nonlinear_components(system: System) -> list[int]:
    """The components of the state whose differential equation is nonlinear in state and controls."""
    rng = np.random.default_rng(0)
    x, u = (rng.uniform(b[:, 0], b[:, 1], (2, len(b))) / 2 for b in (system.x_bounds, system.u_bounds))
    first, second = (np.array(system.derivative(x[i], u[i])) for i in (0, 1))
    both = np.array(system.derivative(x.sum(axis=0), u.sum(axis=0)))
    return np.flatnonzero(~np.isclose(first + second, both)).tolist()


def remainder(system: System, x: Array, u: Array) -> Array:
    """What a step from the states x (..., n) with the controls u (..., m) adds to A x + B u.

    Returns:
        r (..., q), one column for each of the `nonlinear_components`.
    """
    A, B, _, _ = physical_problem(system)
    r: Array = system.step(x, u) - x @ A.T - u @ B.T
    return r[..., nonlinear_components(system)]


def format_trajectory(x: ArrayLike, u: ArrayLike, r: ArrayLike) -> str:
    """States (N, n), the controls (N, m) at each of them and the remainders (N, q), in turn.

    No state follows the last controls, so that their remainder is not written.
    """
    states, remainders = (np.asarray(values, dtype=np.float64).tolist() for values in (x, r))
    controls = (np.round(np.asarray(u, dtype=np.float64), DECIMALS) + 0.0).tolist()
    parts: list[str] = []
    for state, control, rest in zip(states, controls, remainders, strict=True):
        parts += ["+".join(_format_parts(value)[::-1]) for value in state]
        parts += [f"{value:.{DECIMALS}f}" for value in control]
        parts += ["+".join(_format_parts(value)) for value in rest]
    return TRAJECTORY + ", ".join(parts[: len(parts) - len(remainders[-1])])


def _format_parts(value: float) -> tuple[str, str]:
    """The coarse and the fine part of a number: 0.3841 is 0.38 and 0.0041, and 0.3899 is 0.39 and -0.0001."""
    fine = round(value * 10**STATE_DECIMALS)
    coarse = (fine + FINE_STEPS // 2) // FINE_STEPS
    fine -= coarse * FINE_STEPS
    return f"{coarse / 10**DECIMALS:.{DECIMALS}f}", f"{fine / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}"


def parse_trajectory(text: str, system: System) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) of a reasoning, or None if its numbers are not whole steps."""
    parts = text.partition(TRAJECTORY)[2].partition(END_REASONING)[0].split(", ")
    n, q = system.n, len(nonlinear_components(system))
    width = n + system.m + q
    if not all(map(_PART.fullmatch, parts)) or (len(parts) + q) % width:
        return None
    numbers = [round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in parts]
    steps = np.array([*numbers, *[np.nan] * q]).reshape(-1, width)
    return steps[:, :n], steps[:, n : n + system.m]
