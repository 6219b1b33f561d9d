"""A plant's optimal control problem on CasADi symbols, by direct multiple shooting (Bock & Plitt, 1984).

Everything is in scaled units (states by their bound, controls by a third of theirs), in which Q and R apply as they
stand and every variable is of order one. Variables and constraints are ordered stage by stage, which structure-
exploiting solvers (fatrop, HPIPM) need and the others do not mind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from control_envs.systems.base import TERMINAL_WEIGHT, System
from control_envs.utils.optional import need
from control_envs.utils.types import Array

# Price of a state bound's violation in a soft problem, per scaled unit and step: above the multipliers that occur,
# so that a soft solution keeps the bounds wherever a plan that keeps them exists (Nocedal & Wright, 17.2).
SLACK_PRICE = 1e4
# Without an answer after so many iterations there is none: solvable problems of this kind take ten to fifty.
MAX_ITERATIONS = 300

_QUIET: dict[str, dict[str, Any]] = {
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


def dynamics(system: System) -> Any:
    """One step in scaled units as a CasADi function (x, u) -> x_next, from the plant's own RK4."""
    ca = need("casadi", "baselines")
    x, u = ca.SX.sym("x", system.n), ca.SX.sym("u", system.m)
    plain_x = [x[i] * system.x_scale[i] for i in range(system.n)]
    plain_u = [u[i] * system.u_scale[i] for i in range(system.m)]
    after = system.rk4(plain_x, plain_u, ca)
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
    """What the solver said, in physical units.

    Attributes:
        solved: the solver converged. If not, the rest is only its last iterate and no answer.
        x: states (N+1, n) as the solver has them.
        u: controls (N, m).
        slack: the largest amount by which a soft state bound is exceeded, in scaled units; 0 for hard ones.
        message: the solver's own status.
    """

    solved: bool
    x: Array
    u: Array
    slack: float
    message: str


class OptimalControlProblem:
    """min sum_k x_k'Q x_k + u_k'R u_k + x_N'T x_N over a trajectory that starts at x and keeps the bounds.

    Args:
        system: the plant.
        horizon: number of controls N; the plant's own by default.
        terminal: T (n, n) in scaled units; 5 Q, the task's own, by default.
        solver: a CasADi ``conic`` plugin (linear plants) or ``nlpsol`` plugin.
        bounded: impose the state and control bounds.
        soft: let states leave their box at `SLACK_PRICE` (controls never leave theirs).
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
        S = [ca.MX.sym(f"s{k}", n if soft else 0) for k in range(N)]  # how far x_{k+1} may leave its box
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
        # As CasADi's own matrices, once: converting them at each solve takes as long as a small QP.
        self._bounds = {key: ca.DM(value) for key, value in {"lbx": lbx, "ubx": ubx, "lbg": lbg, "ubg": ubg}.items()}
        self._soft = soft
        problem = {"x": ca.vertcat(*variables), "f": cost, "g": ca.vertcat(*constraints), "p": start}
        self._solve = _make_solver(solver, system, problem, equality)

    def solve(self, x: Array, guess: tuple[Array, Array] | None = None) -> Solution:
        """Solves from state x (n,), starting the solver at ``guess``: states (N+1, n) and controls (N, m)."""
        start = np.asarray(x, dtype=np.float64) / self.system.x_scale
        try:
            found = self._solve(x0=self._pack(x, guess), p=start, **self._bounds)
        except RuntimeError as error:  # CasADi's only error class: a QP plugin that gives up raises it
            return self._failed(str(error).strip().splitlines()[-1])
        stats = self._solve.stats()
        states, controls, slack = self._unpack(np.asarray(found["x"]).ravel())
        solved = bool(stats["success"]) and bool(np.all(np.isfinite(states)) and np.all(np.isfinite(controls)))
        message = str(stats.get("return_status", stats.get("unified_return_status", "")))
        return Solution(solved, states, controls, slack, message)

    def _pack(self, x: Array, guess: tuple[Array, Array] | None) -> Array:
        """A trajectory as the solver's vector; slack variables start at what the trajectory needs."""
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
    """The CasADi solver of that name: a QP plugin if there is one, else an NLP plugin.

    Raises:
        ValueError: CasADi has no such plugin, or it solves QPs alone and the plant is not linear.
    """
    ca = need("casadi", "baselines")
    if name not in _QUIET and ca.has_conic(name):
        if not is_linear(system):
            raise ValueError(
                f"solver {name!r} solves QPs, but {system.name} is not linear: give sqpmethod, fatrop or ipopt"
            )
        return ca.qpsol("ocp", name, problem, {"print_time": False, "expand": True, "error_on_fail": False})
    if not ca.has_nlpsol(name):
        raise ValueError(
            f"CasADi has no solver {name!r}: give a QP plugin such as hpipm or an NLP plugin such as ipopt"
        )
    options = {"print_time": False, "expand": True, "error_on_fail": False, **_QUIET.get(name, {})}
    if name == "fatrop":
        options |= {"structure_detection": "auto", "equality": equality}
    return ca.nlpsol("ocp", name, problem, options)
