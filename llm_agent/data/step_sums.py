"""The step of a plant as sums of functions of one number each, which is what a network learns to compute.

A component of the next state is a sum of

* products of the states' coarse parts and of the controls with the coefficients of A and B, the linearisation about the
  origin that LQR uses,
* products of fine parts with large coefficients,
* in nonlinear components, functions of one number: of a coarse part, or of the sum or difference of two, since
  a b = ((a + b)^2 - (a - b)^2) / 4 and a^2 b = ((a + b)^3 - (a - b)^3 - 2 b^3) / 6. They are polynomials, fitted to the
  plant within its bounds. A network learns several functions of one number far better than one of two or three,
* a small remainder.

A position's remainder is a multiple of its velocity's: half of dt, roughly. Such a component is computed from the new
velocity, after it, and hardly has a remainder of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.polynomial import Polynomial

from control_envs import System
from control_envs.dynamics.riccati import physical_problem
from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = [
    "FINE_STEPS",
    "STATE_DECIMALS",
    "TENTH",
    "ComponentSum",
    "Steps",
    "Terms",
    "from_tenth",
    "product_turns",
    "split",
    "step_sums",
]

# An unstable plant amplifies the rounding of written states: with three decimals the upright pendulum often falls. With
# four, every registered plant is controlled as without rounding (tests/agent/test_states.py).
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # fine steps in one step of the coarse part
TENTH = 10  # steps of the coarse part
SLOW = 0.1  # turns of a hundredth per unit: a product that turns no faster is not written
COUPLED = 10  # fine steps that a fine part's product with another component's coefficient has to reach to be written
COUNTED = 3  # coarse steps that two products have to reach for the coarse part's change to be written after each
FROM_OTHERS = 0.1  # share of a remainder that may be left for the component to be computed from other new components
REMAINDER = 3  # fine steps that a remainder has to reach to be written
DEGREE = 9  # of the functions of one number
ENOUGH = 20  # fine steps: a remainder with a smaller standard deviation needs no further functions
WORTH = 0.5  # share of the remainder that further functions may leave
SAMPLES = 4000  # states and controls that functions are fitted to
_PLANTS = 256  # whose sums are kept: every trajectory of a plant needs them
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


@lru_cache(maxsize=_PLANTS)
def step_sums(system: System) -> tuple[ComponentSum, ...]:
    """The components of the next state as sums, in the order in which they are computed."""
    A, B, _, _ = physical_problem(system)
    steps = _samples(system, A, B)
    rest = steps.then - np.round(steps.now @ A.T + FINE_STEPS * steps.controls @ B.T)
    others = _from_others(rest)
    linear = np.concatenate([A - others @ A, B - others @ B, others], axis=1)
    sums = [_with_functions(_linear_sum(system, i, linear[i]), steps) for i in range(system.n)]
    from_others = [made for made in sums if others[made.index].any()]
    return (*(made for made in sums if made not in from_others), *reversed(from_others))


def _from_others(rest: Array) -> Array:
    """Remainders (N, n) as multiples of others', (n, n): rows of zeros for those that are not.

    A component's multiples are of later ones and of those that are no multiples themselves.
    """
    others = np.zeros((rest.shape[1], rest.shape[1]))
    nonlinear = np.abs(rest).max(axis=0) >= REMAINDER
    for i in np.flatnonzero(nonlinear):
        known = nonlinear & ~others.any(axis=1)
        known[i] = False
        if known.any():
            factors = np.linalg.lstsq(rest[:, known], rest[:, i], rcond=None)[0]
            if np.std(rest[:, i] - rest[:, known] @ factors) < FROM_OTHERS * np.std(rest[:, i]):
                others[i, known] = factors
    return others


def _samples(system: System, A: Array, B: Array) -> Steps:
    """Steps from within the bounds, with the linearisation's next state there too."""
    rng, n = np.random.default_rng(0), system.n
    bounds = np.concatenate([system.x_bounds, system.u_bounds])
    # Most of them are near the middle, as in trajectories.
    middle, half = bounds.mean(axis=1), np.diff(bounds, axis=1)[:, 0] / 2
    drawn = middle + half * rng.uniform(-1.0, 1.0, (SAMPLES, len(bounds))) * rng.uniform(0.0, 1.0, (SAMPLES, 1))
    x, u = np.round(drawn[:, :n], STATE_DECIMALS), np.round(drawn[:, n:], DECIMALS)
    within = np.all(np.abs(x @ A.T + u @ B.T - middle[:n]) <= half[:n], axis=1)
    return Steps.of(x[within], u[within], system.step(x[within], u[within]))


def _linear_sum(system: System, i: int, linear: Array) -> ComponentSum:
    """The sum of component i without functions and remainder."""
    n = system.n
    turns = product_turns(linear)
    written = turns > SLOW
    written[turns.argmax()] = True
    largest_coupling = np.abs(linear[:n]) * FINE_STEPS / 2
    coupled = (largest_coupling >= COUPLED) & (largest_coupling < FINE_STEPS / 2) & (np.arange(n) != i)
    limits = np.abs(np.concatenate([system.x_bounds, system.u_bounds, system.x_bounds])).max(axis=1)
    moved = np.abs(linear - np.eye(len(linear))[i]) * limits * 10**DECIMALS
    return ComponentSum(i, linear, coupled, written, written & (moved >= COUNTED), np.zeros((0, n), dtype=int))


def product_turns(linear: Array) -> Array:
    """How often products with these coefficients turn modulo a hundredth while the factor, a multiple of a hundredth,
    changes by one."""
    turns: Array = np.abs(linear - np.round(linear)) / 0.1**DECIMALS
    return turns


def _with_functions(made: ComponentSum, steps: Steps) -> ComponentSum:
    """With the functions that leave the smallest remainder, added while each pays."""
    rest = made.terms(steps).remainder
    while rest.std() > ENOUGH:
        better = [_fitted(made, group, steps) for group in _groups(made.arguments)]
        rests = [further.terms(steps).remainder for further in better]
        best = int(np.argmin([r.std() for r in rests]))
        if rests[best].std() > WORTH * rest.std():
            break
        made, rest = better[best], rests[best]
    # What stands for itself first: it is then there to read for sums.
    order = np.argsort(np.abs(made.arguments).sum(axis=1), kind="stable")
    made = replace(made, arguments=made.arguments[order], functions=tuple(made.functions[k] for k in order))
    return replace(made, remainder=float(np.quantile(np.abs(rest), 0.9)))


def _groups(present: np.ndarray) -> Iterator[np.ndarray]:
    """The arguments that may be added to those present (F, n): a component, or the sum and the difference of two."""
    one = np.eye(present.shape[1], dtype=int)
    pairs = [np.stack([a + b, a - b]) for a, b in combinations(one, 2)]
    for group in (*one[:, None], *pairs):
        if not (group[:, None] == present).all(axis=2).any():
            yield group


def _fitted(made: ComponentSum, group: np.ndarray, steps: Steps) -> ComponentSum:
    """The sum with functions of further arguments, all fitted anew."""
    arguments = np.concatenate([made.arguments, group])
    terms = replace(made, arguments=arguments, functions=(Polynomial([0.0]),) * len(arguments)).terms(steps)
    limits = np.abs(terms.arguments).max(axis=0) / 10**DECIMALS
    scaled = terms.arguments / 10**DECIMALS / limits
    # Without linear terms: those are the linearisation's.
    powers = np.stack([scaled**k for k in range(2, DEGREE + 1)], axis=2)
    found = np.linalg.lstsq(powers.reshape(len(scaled), -1), terms.remainder / 10**STATE_DECIMALS, rcond=None)[0]
    functions = [
        Polynomial([0.0, 0.0, *coefficients], domain=[-limit, limit], window=[-1.0, 1.0])
        for coefficients, limit in zip(found.reshape(len(arguments), -1), limits, strict=True)
    ]
    return replace(made, arguments=arguments, functions=tuple(functions))
