"""The working of a written trajectory: the numbers that make the next state easy to compute from state and controls.

A step is x+ = A x + B u + r(x, u), where A, B is the linearisation about the origin that LQR uses. Written states have
four decimals, and an unstable plant needs every one of them. A network computes a smooth function to about two decimals
soon, and to four hardly ever. So each number is written as a coarse part (a multiple of 0.01) and a fine part, and

* a coarse part is needed only to within half a hundredth,
* the fine part of x+ is a sum modulo a hundredth. Taken modulo a hundredth at once, it gives a network no slope to
  learn from. Before whole hundredths are carried, it is an ordinary sum of a few numbers of the size of a hundredth:
  the fine parts, and for each coarse part a number that depends on it alone, as in long multiplication,
* the remainder r is small, and a per cent of it is exact enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from control_envs import System
from control_envs.dynamics.riccati import physical_problem
from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = ["FINE_STEPS", "STATE_DECIMALS", "Working", "nonlinear_components", "split", "work"]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
Whole = TypeVar("Whole", int, np.ndarray)


@dataclass(frozen=True, eq=False)
class Working:
    """Numbers in fine steps, for K steps.

    Attributes:
        components: the components of the state that have a remainder.
        remainders: r of these components, (K, q).
        sums: the fine part of each component of x+ plus whole hundredths, (K, n).
    """

    components: tuple[int, ...]
    remainders: np.ndarray
    sums: np.ndarray


def split(value: Whole) -> tuple[Whole, Whole]:
    """The coarse and the fine part of a number in fine steps: 3841 is 38 and 41, and 3899 is 39 and -1."""
    coarse = (value + FINE_STEPS // 2) // FINE_STEPS
    return coarse, value - coarse * FINE_STEPS


@lru_cache(maxsize=256)
def nonlinear_components(system: System) -> tuple[int, ...]:
    """The components of the state whose differential equation is nonlinear in state and controls."""
    rng = np.random.default_rng(0)
    x, u = (rng.uniform(b[:, 0], b[:, 1], (2, len(b))) / 2 for b in (system.x_bounds, system.u_bounds))
    first, second = (np.array(system.derivative(x[i], u[i])) for i in (0, 1))
    both = np.array(system.derivative(x.sum(axis=0), u.sum(axis=0)))
    return tuple(np.flatnonzero(~np.isclose(first + second, both)).tolist())


def work(system: System, x: Array, u: Array) -> Working:
    """The working between written states x (N, n), each the rounded step from the one before with controls u (N, m)."""
    components = nonlinear_components(system)
    A, B, _, _ = physical_problem(system)
    states, controls = (np.round(v * 10**d).astype(int) for v, d in ((x, STATE_DECIMALS), (u[:-1], DECIMALS)))
    now, then = states[:-1], states[1:]
    rest = then - np.round(now @ A.T + FINE_STEPS * controls @ B.T).astype(int)
    remainders = rest[:, components]
    coarse, fine = split(now)
    total = fine @ A.T + _reduced(A * coarse[:, None] * FINE_STEPS) + _reduced(B * controls[:, None] * FINE_STEPS)
    rest[:, components] = split(remainders)[1]  # of a written remainder only the fine part is added
    carried = np.round((total + rest - then) / FINE_STEPS).astype(int)
    return Working(components, remainders, then + FINE_STEPS * carried)


def _reduced(products: Array) -> Array:
    """Sums over the last axis of products less their whole hundredths."""
    reduced: Array = (products - FINE_STEPS * np.round(products / FINE_STEPS)).sum(axis=-1)
    return reduced
