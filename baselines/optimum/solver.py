"""The optimum: the best feasible plan from an initial state, and its cost J*.

J* is the reference for all policies: J / J* >= 1 for every feasible plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.controllers.ocp import OptimalControlProblem, is_linear
from baselines.optimum.cache import cached
from control_envs import System, get_system, measure, simulate
from control_envs.rewards.metrics import TOLERANCE
from control_envs.systems.checks import checked_states
from control_envs.utils.types import Array

__all__ = ["Optimum", "Status", "solve", "solve_all"]

Status = Literal["optimal", "infeasible", "failed"]
METHOD = "ipopt 1"  # part of the cache key; change it when the computation changes


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimum from one initial state, or from S of them (then every field has a leading axis S).

    Attributes:
        status: "optimal"; "infeasible" if no feasible plan exists (for a nonlinear plant: none was found from any
            start); "failed" if no solver converged.
        cost: J*, measured on the simulated trajectory of the controls; NaN without an optimum.
        controls: (N, m), NaN without an optimum.
        states: (N+1, n), NaN without an optimum.
    """

    status: Any
    cost: Any
    controls: Array
    states: Array


def solve(system: System, x0: ArrayLike) -> Optimum:
    """The optimum from x0 (n,), to a relative 1e-6 of its cost.

    For a linear plant a convex QP, so that the optimum is global. Otherwise an NLP from several starts: the best of
    their local optima, which need not be global. Solved by IPOPT (Waechter & Biegler, 2006).

    Raises:
        ValueError: x0 is not n finite numbers.
    """
    return _Solver(get_system(system))(x0)


def solve_all(
    system: System,
    x0: ArrayLike,
    cache: bool = True,
    progress: Callable[[int], Any] | None = None,
) -> Optimum:
    """The optima from initial states (S, n), cached on disk.

    Args:
        system: the plant.
        x0: initial states, shape (S, n).
        cache: read and write `baselines.optimum.cache.cache_dir`.
        progress: called with the number of initial states solved since the last call.

    Raises:
        ValueError: x0 is not finite numbers of that shape.
    """
    system = get_system(system)
    x0 = checked_states("x0", x0, system.state_names, batched=True)
    fields = cached("optimum", METHOD, system, x0, cache, lambda: _solve_each(system, x0, progress))
    return Optimum(**fields)


def _solve_each(system: System, x0: Array, progress: Callable[[int], Any] | None) -> dict[str, Array]:
    solver, optima = _Solver(system), []
    for x in x0:
        optima.append(solver(x))
        if progress:
            progress(1)
    return {
        "status": np.array([o.status for o in optima]),
        "cost": np.array([o.cost for o in optima], dtype=np.float64),
        "controls": np.stack([o.controls for o in optima]),
        "states": np.stack([o.states for o in optima]),
    }


class _Solver:
    """The problem of one plant, built once and solved from any initial state."""

    def __init__(self, system: System):
        self.system = system
        self._hard = OptimalControlProblem(system)
        self._soft: OptimalControlProblem | None = None  # built on first use, which is rare
        self._linear, self._gains = is_linear(system), lqr(system)[0]

    def __call__(self, x0: ArrayLike) -> Optimum:
        system = self.system
        x0 = checked_states("x0", x0, system.state_names)
        best = self._no_optimum("failed")
        for guess in self._starts(x0):
            solution = self._hard.solve(x0, guess)
            if solution.solved:
                best = min(best, self._from_controls(x0, solution.u), key=lambda o: np.nan_to_num(o.cost, nan=np.inf))
        return best if best.status == "optimal" else self._solve_soft(x0)

    def _starts(self, x0: Array) -> Iterator[tuple[Array, Array] | None]:
        """Initial guesses for the solver; one is enough for a convex problem."""
        trajectory = simulate_feedback(self.system, x0, self._gains)
        yield trajectory.x, trajectory.u
        if self._linear:
            return
        yield None
        for factor in (0.4, 2.5):
            trajectory = simulate_feedback(self.system, x0, factor * self._gains)
            yield trajectory.x, trajectory.u

    def _solve_soft(self, x0: Array) -> Optimum:
        """The soft problem, after the hard one failed: it shows whether a feasible plan exists."""
        self._soft = self._soft or OptimalControlProblem(self.system, soft=True)
        solutions = [self._soft.solve(x0, guess) for guess in self._starts(x0)]
        solved = [s for s in solutions if s.solved]
        if not solved:
            return self._no_optimum("failed")
        least = min(solved, key=lambda s: s.slack)
        return self._from_controls(x0, least.u) if least.slack <= TOLERANCE else self._no_optimum("infeasible")

    def _from_controls(self, x0: Array, controls: Array) -> Optimum:
        """The optimum with the simulated trajectory of the controls and its cost."""
        trajectory = simulate(self.system, x0, self.system.saturate(controls))
        metrics = measure(trajectory)
        if metrics.violations:
            return self._no_optimum("failed")
        return Optimum("optimal", float(metrics.cost), trajectory.u, trajectory.x)

    def _no_optimum(self, status: Status) -> Optimum:
        N, n, m = self.system.horizon, self.system.n, self.system.m
        return Optimum(status, np.nan, np.full((N, m), np.nan), np.full((N + 1, n), np.nan))
