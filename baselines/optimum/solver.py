"""The true optimum: the best plan from an initial state that keeps all bounds, and its cost J*.

J* is the ruler of this project: J / J* >= 1 for every plan that keeps the bounds.
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
from control_envs import System, measure, simulate
from control_envs.rewards.metrics import TOLERANCE
from control_envs.utils.types import Array

Status = Literal["optimal", "infeasible", "failed"]
METHOD = "ipopt 1"  # part of the cache's key: a new name when what is computed changes


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimum from one initial state, or from S of them (then every field has a leading axis S).

    Attributes:
        status: "optimal"; "infeasible" where no plan keeps the bounds (for a plant that is not linear: none was
            found from any start); "failed" where no solver converged.
        cost: J*, measured on the trajectory that the controls give; NaN without an optimum.
        controls: (N, m), NaN without an optimum.
        states: (N+1, n), NaN without an optimum.
    """

    status: Any
    cost: Any
    controls: Array
    states: Array


def solve(system: System, x0: ArrayLike) -> Optimum:
    """The optimum from x0 (n,), to a relative 1e-6 of its cost.

    A convex QP for a linear plant: the optimum is global. Otherwise an NLP from several starts, of which the best
    is taken: a local optimum from each, global as far as they tell. Solved by IPOPT (Waechter & Biegler, 2006).

    Raises:
        ValueError: x0 is not n finite numbers.
    """
    return _Solver(system)(np.asarray(x0, dtype=np.float64))


def solve_all(
    system: System,
    x0: ArrayLike,
    cache: bool = True,
    progress: Callable[[int], Any] | None = None,
) -> Optimum:
    """The optima from initial states (S, n), kept on disk for the next time.

    Args:
        cache: read and write `cache_dir`, by the plant's settings, what it does, and the states.
        progress: called with the number of states solved since the last call.
    """
    x0 = np.asarray(x0, dtype=np.float64)
    fields = cached("optimum", METHOD, system, x0, cache, lambda: _solve_each(system, x0, progress))
    return Optimum(**fields)


def _solve_each(system: System, x0: Array, progress: Callable[[int], Any] | None) -> dict[str, Array]:
    solver, found = _Solver(system), []
    for x in x0:
        found.append(solver(x))
        if progress:
            progress(1)
    return {
        "status": np.array([f.status for f in found]),
        "cost": np.array([f.cost for f in found], dtype=np.float64),
        "controls": np.stack([f.controls for f in found]),
        "states": np.stack([f.states for f in found]),
    }


class _Solver:
    """The problem of one plant, built once and solved from any state."""

    def __init__(self, system: System):
        self.system = system
        self._hard = OptimalControlProblem(system)
        self._soft: OptimalControlProblem | None = None  # built when a state asks for it: most plants never do
        self._linear, self._gain = is_linear(system), lqr(system)[0]

    def __call__(self, x0: Array) -> Optimum:
        system = self.system
        if x0.shape != (system.n,) or not np.all(np.isfinite(x0)):
            raise ValueError(f"x0 must be {system.n} finite numbers, not {x0.tolist()}")
        best = self._nothing("failed")
        for guess in self._starts(x0):
            found = self._hard.solve(x0, guess)
            if found.solved:
                best = min(best, self._flown(x0, found.u), key=lambda o: np.nan_to_num(o.cost, nan=np.inf))
        return best if best.status == "optimal" else self._doubtful(x0)

    def _starts(self, x0: Array) -> Iterator[tuple[Array, Array] | None]:
        """Where the solver starts from; one is enough for a convex problem."""
        trajectory = simulate_feedback(self.system, x0, self._gain)
        yield trajectory.x, trajectory.u
        if self._linear:
            return
        yield None
        for gain in (0.4, 2.5):
            trajectory = simulate_feedback(self.system, x0, gain * self._gain)
            yield trajectory.x, trajectory.u

    def _doubtful(self, x0: Array) -> Optimum:
        """The hard problem gave nothing: the soft one says whether a plan exists at all."""
        self._soft = self._soft or OptimalControlProblem(self.system, soft=True)
        answers = [self._soft.solve(x0, guess) for guess in self._starts(x0)]
        solved = [a for a in answers if a.solved]
        if not solved:
            return self._nothing("failed")
        least = min(solved, key=lambda a: a.slack)
        return self._flown(x0, least.u) if least.slack <= TOLERANCE else self._nothing("infeasible")

    def _flown(self, x0: Array, controls: Array) -> Optimum:
        """The trajectory that the controls give, as the environment flies and measures it."""
        trajectory = simulate(self.system, x0, self.system.saturate(controls))
        metrics = measure(trajectory)
        if metrics.violations:
            return self._nothing("failed")
        return Optimum("optimal", float(metrics.cost), trajectory.u, trajectory.x)

    def _nothing(self, status: Status) -> Optimum:
        N, n, m = self.system.horizon, self.system.n, self.system.m
        return Optimum(status, np.nan, np.full((N, m), np.nan), np.full((N + 1, n), np.nan))
