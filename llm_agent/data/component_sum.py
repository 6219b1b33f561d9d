"""One component of a plant's next state as a sum of functions of one number each (`llm_agent.data.step_sums`), and the
grids on which its numbers are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.polynomial import Polynomial

from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = [
    "FINE_STEPS",
    "REMAINDER",
    "STATE_DECIMALS",
    "TENTH",
    "ComponentSum",
    "Steps",
    "Terms",
    "from_tenth",
    "split",
]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
TENTH = 10  # steps of the coarse part
REMAINDER = 3  # fine steps that a remainder has to reach to be written
Whole = TypeVar("Whole", int, np.ndarray)


def split(value: Whole) -> tuple[Whole, Whole]:
    """The coarse and the fine part of a number in fine steps: 3841 is 38 and 41, and 3899 is 39 and -1."""
    coarse = (value + FINE_STEPS // 2) // FINE_STEPS
    return coarse, value - coarse * FINE_STEPS


class Steps(NamedTuple):
    """Steps of a plant, on the grids on which they are written.

    Attributes:
        now: states (N, n), in fine steps.
        controls: (N, m), in coarse steps.
        then: the next states (N, n), in fine steps.
    """

    now: np.ndarray
    controls: np.ndarray
    then: np.ndarray

    @classmethod
    def of(cls, x: Array, u: Array, x_next: Array) -> Steps:
        """The nearest numbers on the grids to states, controls and next states in their units."""
        now, then = (np.round(states * 10**STATE_DECIMALS).astype(int) for states in (x, x_next))
        return cls(now, np.round(u * 10**DECIMALS).astype(int), then)


def from_tenth(coarse: Whole) -> Whole:
    """The distance of a coarse part from the nearest tenth, in its steps: 38 is -2 from 40."""
    return coarse - TENTH * ((coarse + TENTH // 2) // TENTH)


@dataclass(frozen=True, eq=False)
class ComponentSum:
    """One component of the next state as a sum.

    Attributes:
        index: the component.
        linear: coefficients of x, u and of the components of x+ that are known by then, (2 n + m,).
        coupled: which fine parts' products with their coefficients are written, (n,).
        written: which coarse parts' and controls' products are written, (2 n + m,): the quick ones, and the quickest.
        moving: which of them move the coarse part, (2 n + m,).
        arguments: of the functions of one number, as sums of coarse parts with these factors, (F, n). The component's
            own coarse part is taken half way through the step of the linearisation.
        functions: of each argument, (F).
        remainder: what is left of 90 % of the steps within the plant's bounds, at most, in fine steps.
    """

    index: int
    linear: Array
    coupled: np.ndarray
    written: np.ndarray
    moving: np.ndarray
    arguments: np.ndarray
    functions: tuple[Polynomial, ...] = ()
    remainder: float = 0.0

    @property
    def counted(self) -> np.ndarray:
        """After which products the change of the coarse part so far is written, (2 n + m,); if any, then also after
        each function."""
        return self.moving & (self.moving.sum() + len(self.functions) > 1)

    @property
    def written_arguments(self) -> np.ndarray:
        """Which arguments are written, (F,): all but those that are another component's coarse part."""
        others = np.delete(self.arguments, self.index, axis=1)
        written: np.ndarray = (np.abs(self.arguments).sum(axis=1) > 1) | ~others.any(axis=1)
        return written

    @property
    def has_coarse_remainder(self) -> bool:
        """Whether the remainder's coarse part is written."""
        return self.remainder >= FINE_STEPS / 2

    @property
    def has_fine_remainder(self) -> bool:
        """Whether the remainder's fine part is written."""
        return self.remainder >= REMAINDER

    def terms(self, steps: Steps) -> Terms:
        """The terms of the sum for each step."""
        i, n = self.index, steps.now.shape[1]
        (coarse, fine), (new, new_fine) = split(steps.now), split(steps.then)
        parts = np.concatenate([coarse, steps.controls, new], axis=1)
        products = np.round(FINE_STEPS * self.linear * parts).astype(int)
        moves = split(products)[0]
        moves[:, i] -= coarse[:, i]
        half = moves[:, self.moving].sum(axis=1) // 2
        at, from_tenths = coarse.copy(), from_tenth(coarse)
        at[:, i] += half
        from_tenths[:, i] = from_tenth(at[:, i])
        arguments, offsets = at @ self.arguments.T, from_tenths @ self.arguments.T
        alone = np.abs(self.arguments).sum(axis=1) == 1
        offsets[:, alone & (self.arguments[:, i] != 0)] = (from_tenth(coarse[:, i]) + from_tenth(half))[:, None]
        # A polynomial is of no use beyond the numbers that it is fitted to.
        inside = [np.clip(v / 10**DECIMALS, *f.domain) for f, v in zip(self.functions, arguments.T, strict=True)]
        values = [f(argument) for f, argument in zip(self.functions, inside, strict=True)]
        functions = np.round(10**STATE_DECIMALS * np.array(values).reshape(len(values), len(coarse)).T).astype(int)
        couplings = np.round(fine * self.linear[:n])[:, self.coupled].astype(int)
        own = fine @ np.where(self.coupled, 0.0, self.linear[:n]) + new_fine @ self.linear[-n:]
        whole = own + sum(numbers.sum(axis=1) for numbers in (couplings, products, functions))
        remainder = steps.then[:, i] - np.round(whole).astype(int)
        return Terms(couplings, products, moves, offsets, arguments, functions, own, remainder)


class Terms(NamedTuple):
    """The terms of `ComponentSum` for N steps, in fine steps except for `moves`, `offsets` and `arguments`.

    Attributes:
        couplings: products of fine parts, (N, number of them).
        products: of coarse parts and controls, (N, 2 n + m).
        moves: by how much each product moves the coarse part, in its steps, (N, 2 n + m).
        offsets: of the arguments, (N, F): the sums of their summands' distances from the nearest tenths.
        arguments: of the functions, in coarse steps, (N, F).
        functions: their values, (N, F).
        own: what the other fine parts contribute, not rounded, (N,).
        remainder: what is left, (N,).
    """

    couplings: np.ndarray
    products: np.ndarray
    moves: np.ndarray
    offsets: np.ndarray
    arguments: np.ndarray
    functions: np.ndarray
    own: Array
    remainder: np.ndarray
