"""The working of a written trajectory: the numbers that make the next state easy to compute from state and controls.

A step is x+ = A x + B u + r(x, u), where A, B is the linearisation about the origin that LQR uses. Written states have
four decimals, and an unstable plant needs every one of them. A network learns a smooth function to about two decimals
soon, and to four hardly ever. So each number is written as a coarse part (a multiple of 0.01) and a fine part, and

* a coarse part is needed only to within half a hundredth,
* the fine part of x+ is a sum modulo a hundredth, as in long multiplication. Its terms are the products of fine parts
  of x with their coefficients, and the fine part of each coarse part's (and control's) product with its coefficient.
  Each depends on one part alone,
* the sum is written term by term, since a network adds two numbers much sooner than five, and before whole hundredths
  are carried: taken modulo a hundredth, it would give a network no slope to learn from,
* the remainder r is small, and a per cent of it is exact enough,
* the coarse part of x+ is found in the same way: first its change, which is small, and where several products move it,
  product by product. Then its distance from the tenth that is nearest to the old coarse part. Its last digit is then
  there to read, and the rest is needed only roughly.
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

__all__ = [
    "FINE_STEPS",
    "STATE_DECIMALS",
    "TENTH",
    "Working",
    "counted_products",
    "nonlinear_components",
    "product_turns",
    "split",
    "work",
    "written_couplings",
    "written_products",
]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
SLOW = 0.1  # turns of a hundredth per unit: a product that turns no faster is not written
COUPLED = 10  # fine steps that a fine part's product with another component's coefficient has to reach to be written
COUNTED = 3  # coarse steps that two products have to reach for the coarse part's change to be written after each
TENTH = 10  # steps of the coarse part
_PLANTS = 256  # whose coefficients are kept: every trajectory of a plant needs them
Whole = TypeVar("Whole", int, np.ndarray)


@dataclass(frozen=True, eq=False)
class Working:
    """The working of K steps, in fine steps except for `changes` and `from_tenths`.

    Attributes:
        remainders: r of each nonlinear component, (K,); by component.
        terms: by component, what is added in turn to its fine part: the products of other fine parts, the fine part of
            each product of a coarse part or control, and last of the remainder if there is one, (K, number of terms).
        sums: by component, the sum after each term, (K, number of terms). The last is the fine part of x+, plus whole
            hundredths.
        counts: by component, the change of the coarse part by the products so far, (K,), after some of the terms.
        changes: of each coarse part, in its own steps, (K, n).
        from_tenths: each new coarse part less the tenth that is nearest to the old one, in its own steps, (K, n).
    """

    remainders: dict[int, np.ndarray]
    terms: list[np.ndarray]
    sums: list[np.ndarray]
    counts: list[dict[int, np.ndarray]]
    changes: np.ndarray
    from_tenths: np.ndarray


def split(value: Whole) -> tuple[Whole, Whole]:
    """The coarse and the fine part of a number in fine steps: 3841 is 38 and 41, and 3899 is 39 and -1."""
    coarse = (value + FINE_STEPS // 2) // FINE_STEPS
    return coarse, value - coarse * FINE_STEPS


@lru_cache(maxsize=_PLANTS)
def nonlinear_components(system: System) -> tuple[int, ...]:
    """The components of the next state that are nonlinear in state and controls."""
    rng = np.random.default_rng(0)
    x, u = (rng.uniform(b[:, 0], b[:, 1], (2, len(b))) / 2 for b in (system.x_bounds, system.u_bounds))
    parts, whole = system.step(x, u).sum(axis=0), system.step(x.sum(axis=0), u.sum(axis=0))
    return tuple(np.flatnonzero(~np.isclose(parts, whole)).tolist())


@lru_cache(maxsize=_PLANTS)
def product_turns(system: System) -> Array:
    """How often the product of a state (first n columns) or control with its coefficient turns modulo a hundredth while
    the state or control, a multiple of a hundredth, changes by one; (n, n + m)."""
    coefficients = np.concatenate(_linear_part(system), axis=1)
    turns: Array = np.abs(coefficients - np.round(coefficients)) / 0.1**DECIMALS
    return turns


@lru_cache(maxsize=_PLANTS)
def written_products(system: System) -> np.ndarray:
    """Which products of states and controls with their coefficients are written, (n, n + m): the quick ones, and the
    quickest of each component."""
    turns = product_turns(system)
    written = turns > SLOW
    written[np.arange(system.n), turns.argmax(axis=1)] = True
    return written


@lru_cache(maxsize=_PLANTS)
def written_couplings(system: System) -> np.ndarray:
    """Which products of fine parts with their coefficients are written, (n, n): those with another component's that
    reach `COUPLED` fine steps and never more than a fine part can."""
    A, _ = _linear_part(system)
    largest = np.abs(A) * FINE_STEPS / 2
    written: np.ndarray = (largest >= COUPLED) & (largest < FINE_STEPS / 2)
    np.fill_diagonal(written, val=False)
    return written


@lru_cache(maxsize=_PLANTS)
def counted_products(system: System) -> np.ndarray:
    """After which written products the change of the coarse part so far is written, (n, n + m)."""
    limits = np.concatenate([np.abs(system.x_bounds).max(axis=1), np.abs(system.u_bounds).max(axis=1)])
    moved = np.abs(np.concatenate(_linear_part(system), axis=1) - np.eye(system.n, system.n + system.m)) * limits
    counted: np.ndarray = written_products(system) & (moved * 10**DECIMALS >= COUNTED)
    counted[counted.sum(axis=1) < 2] = False
    return counted


def work(system: System, x: Array, u: Array) -> Working:
    """The working between written states x (N, n), each the rounded step from the one before with controls u (N, m)."""
    n = system.n
    A, B = _linear_part(system)
    states, controls = (np.round(v * 10**d).astype(int) for v, d in ((x, STATE_DECIMALS), (u[:-1], DECIMALS)))
    now, then = states[:-1], states[1:]
    rest = then - np.round(now @ A.T + FINE_STEPS * controls @ B.T).astype(int)
    (coarse, fine), new = split(now), split(then)[0]
    parts = np.concatenate([coarse, controls], axis=1)
    whole, products = split(np.round(FINE_STEPS * np.concatenate([A, B], axis=1) * parts[:, None]).astype(int))
    moves = whole - np.eye(n, n + system.m, dtype=int) * parts[:, None]
    couplings, written, counted = written_couplings(system), written_products(system), counted_products(system)
    remainders = {i: rest[:, i] for i in nonlinear_components(system)}
    terms, sums, counts = [], [], []
    for i in range(n):
        coupled = np.round(fine * A[i])[:, couplings[i]].astype(int)
        addends = np.concatenate([coupled, products[:, i, written[i]]], axis=1)
        unwritten = products[:, i, ~written[i]].sum(axis=1)
        if i in remainders:  # of a written remainder only the fine part is added
            addends = np.column_stack([addends, split(remainders[i])[1]])
        else:
            unwritten = unwritten + rest[:, i]
        own = fine @ np.where(couplings[i], 0.0, A[i])
        running = np.round(own[:, None] + np.cumsum(addends, axis=1)).astype(int)
        total = running[:, -1] + unwritten
        running[:, -1] = then[:, i] + FINE_STEPS * np.round((total - then[:, i]) / FINE_STEPS).astype(int)
        terms.append(addends)
        sums.append(running)
        so_far = np.cumsum(moves[:, i, counted[i]], axis=1)
        places = couplings[i].sum() + np.flatnonzero(counted[i][written[i]])
        counts.append(dict(zip(places.tolist(), so_far.T, strict=True)))
    return Working(remainders, terms, sums, counts, new - coarse, new - TENTH * ((coarse + TENTH // 2) // TENTH))


@lru_cache(maxsize=_PLANTS)
def _linear_part(system: System) -> tuple[Array, Array]:
    """A (n, n) and B (n, m)."""
    A, B, _, _ = physical_problem(system)
    return A, B
