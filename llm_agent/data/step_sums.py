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
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.polynomial import Polynomial

from control_envs import System
from control_envs.dynamics.riccati import physical_problem
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.component_sum import FINE_STEPS, REMAINDER, STATE_DECIMALS, ComponentSum, Steps

__all__ = ["product_turns", "step_sums"]

SLOW = 0.1  # turns of a hundredth per unit: a product that turns no faster is not written
COUPLED = 10  # fine steps that a fine part's product with another component's coefficient has to reach to be written
COUNTED = 3  # coarse steps that two products have to reach for the coarse part's change to be written after each
FROM_OTHERS = 0.1  # share of a remainder that may be left for the component to be computed from other new components
DEGREE = 9  # of the functions of one number
ENOUGH = 20  # fine steps: a remainder with a smaller standard deviation needs no further functions
WORTH = 0.5  # share of the remainder that further functions may leave
SAMPLES = 4000  # states and controls that functions are fitted to
_PLANTS = 256  # whose sums are kept: every trajectory of a plant needs them


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
