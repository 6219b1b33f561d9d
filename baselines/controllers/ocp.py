"""The optimal control problem of a plant in CasADi, by direct multiple shooting (Bock & Plitt, 1984).

Everything is in scaled units (states by their bound, controls by a third of theirs), in which Q and R apply unchanged
and all variables are of order one. Variables and constraints are ordered by stage, as structure-exploiting solvers
(fatrop, HPIPM) require.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from control_envs.systems.base import TERMINAL_WEIGHT, System
from control_envs.systems.checks import checked_states
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["MAX_ITERATIONS", "OptimalControlProblem", "Solution", "dynamics", "is_linear", "scaled_bounds"]

# Exact penalty on violations of state bounds in a soft problem, per scaled unit and step. It exceeds the multipliers
# that occur, so that the soft solution is feasible wherever a feasible plan exists (Nocedal & Wright, 17.2).
SLACK_PRICE = 1e4
# Solvable problems of this kind take ten to fifty iterations; a solver that reaches this limit has failed.
MAX_ITERATIONS = 300

_OPTIONS: dict[str, dict[str, Any]] = {
    "ipopt": {"ipopt": {"print_level": 0, "sb": "yes", "max_iter": MAX_ITERATIONS, "tol": 1e-9}},
    "fatrop": {"fatrop": {"print_level": 0, "max_iter": MAX_ITERATIONS, "tol": 1e-9}},
    "sqpmethod": {
        "qpsol": "hpipm",
        "qpsol_options": {"print_time": False, "error_on_fail": False},
        "max_iter": 50,
        "print_header": False,
        "print_iteration": False,
        "print_status": False,
    },
}

# What keeps each QP plugin from printing.
_QP_OPTIONS: dict[str, dict[str, Any]] = {
    "qpoases": {"printLevel": "none"},
    "osqp": {"osqp": {"verbose": False}},
    "highs": {"highs": {"output_flag": False}},
    "qrqp": {"print_iter": False, "print_header": False, "print_info": False},
}
# Plugins that print nothing with the options above. What others print, some of them at every step, is discarded.
_SILENT = {*_OPTIONS, "daqp", "highs", "hpipm", "osqp", "proxqp", "qrqp"}


@contextmanager
def _silenced(solver: str) -> Iterator[None]:
    """Discards what a plugin prints; CasADi prints to `sys.stdout`."""
    if solver in _SILENT:
        yield
        return
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def dynamics(system: System) -> Any:
    """One step in scaled units as a CasADi function (x, u) -> x_next, from the plant's RK4 step."""
    ca = need("casadi", "baselines")
    x, u = ca.SX.sym("x", system.n), ca.SX.sym("u", system.m)
    physical_x = [x[i] * system.x_scale[i] for i in range(system.n)]
    physical_u = [u[i] * system.u_scale[i] for i in range(system.m)]
    after = system.rk4(physical_x, physical_u, ca)
    return ca.Function("step", [x, u], [ca.vertcat(*(a / s for a, s in zip(after, system.x_scale, strict=True)))])


def is_linear(system: System) -> bool:
    """Whether one step is affine in (x, u), so that the problem is a convex QP."""
    ca = need("casadi", "baselines")
    x, u = ca.SX.sym("x", system.n), ca.SX.sym("u", system.m)
    return bool(ca.is_linear(dynamics(system)(x, u), ca.vertcat(x, u)))


def scaled_bounds(system: System) -> tuple[Array, Array]:
    """State bounds (n, 2) and control bounds (m, 2) in scaled units."""
    return system.x_bounds / system.x_scale[:, None], system.u_bounds / system.u_scale[:, None]


@dataclass(frozen=True, eq=False)
class Solution:
    """A solver's result, in physical units.

    Attributes:
        solved: whether the solver converged. If not, the rest is only its last iterate.
        x: states (N+1, n) of the solver.
        u: controls (N, m).
        slack: the largest violation of a soft state bound, in scaled units; 0 for hard bounds.
        message: the solver's status.
    """

    solved: bool
    x: Array
    u: Array
    slack: float
    message: str


class OptimalControlProblem:
    """min sum_k x_k'Q x_k + u_k'R u_k + x_N'T x_N over feasible trajectories from x.

    Args:
        system: the plant.
        horizon: number of controls N; the plant's horizon by default.
        terminal: T (n, n) in scaled units; by default 5 Q, as in the task.
        solver: a CasADi ``conic`` plugin (linear plants) or ``nlpsol`` plugin.
        bounded: impose the state and control bounds.
        soft: allow states to violate their bounds at a penalty of `SLACK_PRICE`; control bounds stay hard.
    """

    def __init__(
        self,
        system: System,
        horizon: int | None = None,
        terminal: Array | None = None,
        solver: str = "ipopt",
        bounded: bool = True,
        soft: bool = False,
    ):
        ca = need("casadi", "baselines")
        self.system, self.horizon = system, horizon or system.horizon
        N, n, m = self.horizon, system.n, system.m
        terminal = TERMINAL_WEIGHT * system.Q if terminal is None else terminal
        step, start = dynamics(system), ca.MX.sym("start", n)
        X = [ca.MX.sym(f"x{k}", n) for k in range(N + 1)]
        U = [ca.MX.sym(f"u{k}", m) for k in range(N)]
        S = [ca.MX.sym(f"s{k}", n if soft else 0) for k in range(N)]  # violation of the bounds of x_{k+1}
        x_box, u_box = (b if bounded else np.full_like(b, [-np.inf, np.inf]) for b in scaled_bounds(system))
        free = np.full((n, 2), [-np.inf, np.inf])

        variables, box, constraints, limits, equality = [], [], [], [], []
        cost: Any = ca.bilin(terminal, X[N], X[N])
        for k in range(N):
            hard = free if soft or k == 0 else x_box
            variables += [X[k], U[k], S[k]]
            box += [hard, u_box, np.full((S[k].numel(), 2), [0.0, np.inf])]
            cost += ca.bilin(system.Q, X[k], X[k]) + ca.bilin(system.R, U[k], U[k]) + SLACK_PRICE * ca.sum1(S[k])
            constraints.append(X[k + 1] - step(X[k], U[k]))
            limits.append(np.zeros((n, 2)))
            equality += [True] * n
            if k == 0:
                constraints.append(X[0] - start)
                limits.append(np.zeros((n, 2)))
                equality += [True] * n
            if soft:
                constraints += [X[k + 1] - S[k], X[k + 1] + S[k]]
                limits += [np.stack([free[:, 0], x_box[:, 1]], 1), np.stack([x_box[:, 0], free[:, 1]], 1)]
                equality += [False] * 2 * n
        variables.append(X[N])
        box.append(free if soft else x_box)
        (lbx, ubx), (lbg, ubg) = np.concatenate(box).T, np.concatenate(limits).T
        # Converted to CasADi matrices once: a conversion takes as long as solving a small QP.
        self._bounds = {key: ca.DM(value) for key, value in {"lbx": lbx, "ubx": ubx, "lbg": lbg, "ubg": ubg}.items()}
        self._soft, self._solver = soft, solver
        problem = {"x": ca.vertcat(*variables), "f": cost, "g": ca.vertcat(*constraints), "p": start}
        with _silenced(solver):
            self._solve = _make_solver(solver, system, problem, equality)

    def solve(self, x: ArrayLike, guess: tuple[Array, Array] | None = None) -> Solution:
        """Solves from state x (n,), starting the solver at ``guess``: states (N+1, n) and controls (N, m).

        Raises:
            ValueError: x is not n finite numbers.
        """
        x = checked_states("the state", x, self.system.state_names)
        start = x / self.system.x_scale
        try:
            with _silenced(self._solver):
                found = self._solve(x0=self._pack(x, guess), p=start, **self._bounds)
        except RuntimeError as error:  # the only error class of CasADi; raised by a QP plugin that fails
            return self._failed(str(error).strip().splitlines()[-1])
        stats = self._solve.stats()
        states, controls, slack = self._unpack(np.asarray(found["x"]).ravel())
        solved = bool(stats["success"]) and bool(np.all(np.isfinite(states)) and np.all(np.isfinite(controls)))
        message = str(stats.get("return_status", stats.get("unified_return_status", "")))
        return Solution(solved, states, controls, slack, message)

    def _pack(self, x: Array, guess: tuple[Array, Array] | None) -> Array:
        """A trajectory as the solver's vector; slack variables start at the trajectory's violations."""
        system, N = self.system, self.horizon
        if guess is None:  # straight to the origin, without controls
            guess = np.linspace(1.0, 0.0, N + 1)[:, None] * np.asarray(x), np.zeros((N, system.m))
        states, controls = guess[0] / system.x_scale, guess[1] / system.u_scale
        stages = [states[:-1], controls]
        if self._soft:
            box = scaled_bounds(system)[0]
            stages.append(np.maximum(0.0, np.maximum(states[1:] - box[:, 1], box[:, 0] - states[1:])))
        return np.concatenate([np.concatenate(stages, axis=1).ravel(), states[-1]])

    def _unpack(self, vector: Array) -> tuple[Array, Array, float]:
        n, m, N = self.system.n, self.system.m, self.horizon
        stages = vector[:-n].reshape(N, -1)
        states = np.concatenate([stages[:, :n], vector[None, -n:]]) * self.system.x_scale
        slack = float(stages[:, n + m :].max()) if self._soft else 0.0
        return states, stages[:, n : n + m] * self.system.u_scale, max(slack, 0.0)

    def _failed(self, message: str) -> Solution:
        N, n, m = self.horizon, self.system.n, self.system.m
        return Solution(False, np.full((N + 1, n), np.nan), np.full((N, m), np.nan), np.nan, message)


def _make_solver(name: str, system: System, problem: dict[str, Any], equality: list[bool]) -> Any:
    """A CasADi solver by name: a QP plugin if there is one, else an NLP plugin.

    Raises:
        ValueError: CasADi has no such plugin, it solves only QPs and the plant is not linear, or it refuses the
            problem.
    """
    try:
        return _plugin(name, system, problem, equality)
    except RuntimeError as error:  # the only error class of CasADi
        raise ValueError(f"solver {name!r} refuses this problem: {str(error).strip().splitlines()[-1]}") from None


def _plugin(name: str, system: System, problem: dict[str, Any], equality: list[bool]) -> Any:
    ca = need("casadi", "baselines")
    if name not in _OPTIONS and ca.has_conic(name):
        if not is_linear(system):
            raise ValueError(
                f"solver {name!r} solves only QPs, but {system.name} is not linear: give sqpmethod, fatrop or ipopt"
            )
        quiet = {"print_time": False, "expand": True, "error_on_fail": False, **_QP_OPTIONS.get(name, {})}
        return ca.qpsol("ocp", name, problem, quiet)
    if not ca.has_nlpsol(name):
        raise ValueError(
            f"CasADi has no solver {name!r}: give a QP plugin such as hpipm or an NLP plugin such as ipopt"
        )
    options = {
        "print_time": False,
        "expand": True,
        "error_on_fail": False,
        "show_eval_warnings": False,
        **_OPTIONS.get(name, {}),
    }
    if name == "fatrop":
        options |= {"structure_detection": "auto", "equality": equality}
    return ca.nlpsol("ocp", name, problem, options)
