"""The working of a written trajectory: the numbers that make the next state easy to compute from state and controls.

Written states have four decimals, and an unstable plant needs every one of them. A network learns a smooth function to
about two decimals soon, and to four hardly ever. So each number is written as a coarse part (a multiple of 0.01) and a
fine part, and the next state as a sum of functions of one number (`llm_agent.data.step_sums`):

* A coarse part is needed only to within half a hundredth.
* The fine part of x+ is a sum modulo a hundredth, as in long multiplication. Its terms are the products of fine parts
  of x with their coefficients, and the fine part of each function of a coarse part, control or argument. Each depends
  on one number alone: a table.
* The sum is written term by term, since a network adds two numbers much sooner than five, and before whole hundredths
  are carried: taken modulo a hundredth, it would give a network no slope to learn from.
* The coarse part of x+ is found in the same way: first its change, which is small, and where several terms move it,
  term by term. Then its distance from the tenth that is nearest to the old coarse part. Its last digit is then there to
  read, and the rest is needed only roughly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from control_envs import System
from control_envs.utils.types import Array
from llm_agent.data.component_sum import FINE_STEPS, ComponentSum, Steps, Terms, from_tenth, split
from llm_agent.data.step_sums import step_sums

__all__ = ["ARGUMENT", "CHANGE", "FROM_TENTH", "LABELS", "PART", "REMAINDER", "SUM", "Working", "work"]

# The letters of the working's numbers:
ARGUMENT = "a"  # of the next function, if it is not there to read
REMAINDER = "r"  # the coarse part of the remainder
PART = "p"  # what is added next: a product of a fine part, or the fine part of a function or of the remainder
SUM = "s"  # the sum so far, in hundredths, before whole hundredths are carried
CHANGE = "d"  # the change of the coarse part: by the terms so far, and last of all the whole of it
FROM_TENTH = "e"  # the next argument less the tenths nearest to its summands; the new coarse part less the old's tenth
LABELS = ARGUMENT, REMAINDER, PART, SUM, CHANGE, FROM_TENTH

Working = list[tuple[str, np.ndarray]]  # letters and numbers (K,) of K steps; parts and sums in fine steps


def work(system: System, x: Array, u: Array) -> Working:
    """The working between written states x (N, n), each the rounded step from the one before with controls u (N, m)."""
    steps = Steps.of(x[:-1], u[:-1], x[1:])
    return [numbers for sums in step_sums(system) for numbers in _component(sums, steps)]


def _component(sums: ComponentSum, steps: Steps) -> Working:
    """The working of one component."""
    terms, then = sums.terms(steps), steps.then[:, sums.index]
    coarse, new = split(steps.now[:, sums.index])[0], split(then)[0]
    numbers: Working = []
    total, change = terms.own, np.zeros_like(coarse)
    addends = list(_addends(sums, terms))
    for addend in addends:
        total = total + addend.fine
        numbers += [*addend.before, (PART, addend.fine)]
        if addend is addends[-1]:  # with all that is not written: what whole hundredths leave of the next state
            wholes = (split(values)[0].sum(axis=1) for values in (terms.products, terms.functions))
            total = then - FINE_STEPS * (sum(wholes) + split(terms.remainder)[0])
        numbers.append((SUM, np.round(total).astype(int)))
        if addend.moved is not None and addend is not addends[-1]:
            change = change + addend.moved
            numbers.append((CHANGE, change))
    return [*numbers, (CHANGE, new - coarse), (FROM_TENTH, new - coarse + from_tenth(coarse))]


class _Addend(NamedTuple):
    """What is added to a component's fine part.

    Attributes:
        fine: the number, in fine steps, (K,).
        moved: by how much the term moves the coarse part, if the change so far is written after it, (K,).
        before: what is written before it.
    """

    fine: np.ndarray
    moved: np.ndarray | None = None
    before: tuple[tuple[str, np.ndarray], ...] = ()


def _addends(sums: ComponentSum, terms: Terms) -> Iterator[_Addend]:
    """The component's addends in the order in which they are written."""
    yield from map(_Addend, terms.couplings.T)
    products = split(terms.products)[1]
    for j in np.flatnonzero(sums.written):
        yield _Addend(products[:, j], terms.moves[:, j] if sums.counted[j] else None)
    moves, fine = split(terms.functions)
    for f, is_written in enumerate(sums.written_arguments):
        before = ((FROM_TENTH, terms.offsets[:, f]), (ARGUMENT, terms.arguments[:, f])) if is_written else ()
        yield _Addend(fine[:, f], moves[:, f] if sums.counted.any() else None, before)
    whole, fine = split(terms.remainder)
    if sums.has_fine_remainder:
        yield _Addend(fine, before=((REMAINDER, whole),) if sums.has_coarse_remainder else ())
