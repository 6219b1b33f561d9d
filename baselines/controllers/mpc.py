"""Model predictive control: each step solves the optimal control problem and applies its first control.

Rawlings, Mayne & Diehl, "Model Predictive Control", 2nd ed. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from baselines.controllers.lqr import lqr
from baselines.controllers.ocp import OptimalControlProblem, Solution, is_linear
from control_envs import System, get_system
from control_envs.rewards.metrics import TOLERANCE
from control_envs.systems.checks import checked_count, checked_numbers
from control_envs.utils.types import Array

__all__ = ["MPC", "Plan", "Status"]

Status = Literal["solved", "soft", "failed"]


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan from one state.

    Attributes:
        status: "solved"; "soft" if no plan within the state bounds was found and this one exceeds them as little as
            possible; "failed" if no solver converged, and then x and u are meaningless.
        x: predicted states (N+1, n).
        u: controls (N, m).
        message: the solver's message.
    """

    status: Status
    x: Array
    u: Array
    message: str


class MPC:
    """Receding-horizon control of one plant.

    A convex QP for a linear plant, an NLP otherwise, both on the plant's RK4 step. Each solve starts from the previous
    plan, shifted by one step. If the problem with hard state bounds has no solution, they are relaxed with slacks.

    Args:
        system: the controller's model of the plant.
        horizon: prediction horizon in steps; by default half of the plant's horizon.
        terminal: cost of the last state: "riccati" (the infinite-horizon cost of LQR at the origin), "task" (the
            5 Q of the cost J), or a matrix (n, n) in scaled units.
        solver: a CasADi ``conic`` plugin (linear plants) or ``nlpsol`` plugin; "auto" is HPIPM for linear plants
            and SQP with HPIPM for others.
        bounded: False ignores all bounds.

    Raises:
        ValueError: unknown terminal cost or solver, or a QP solver for a plant that is not linear.
    """

    def __init__(
        self,
        system: System,
        horizon: int | None = None,
        terminal: Literal["riccati", "task"] | ArrayLike = "riccati",
        solver: str = "auto",
        bounded: bool = True,
    ):
        self.system = system = get_system(system)
        self.horizon = max(1, system.horizon // 2) if horizon is None else checked_count("horizon", horizon)
        if solver == "auto":
            solver = "hpipm" if is_linear(system) else "sqpmethod"
        settings: dict[str, Any] = {
            "horizon": self.horizon,
            "terminal": _terminal_cost(system, terminal),
            "bounded": bounded,
        }
        self._hard = OptimalControlProblem(system, solver=solver, **settings)
        # Needed only where the hard problem fails: robustness matters here, speed does not.
        self._soft = OptimalControlProblem(system, solver="ipopt", soft=True, **settings)

    def plan(self, x: ArrayLike, before: Plan | None = None) -> Plan:
        """The plan from state x (n,); ``before`` is the plan of the previous step, a warm start.

        Raises:
            ValueError: x is not n finite numbers.
        """
        guess = None if before is None or before.status == "failed" else _shifted(before)
        solution = self._hard.solve(x, guess)
        if solution.solved:
            return Plan("solved", solution.x, solution.u, solution.message)
        solution = self._soft.solve(x, guess)
        return Plan(_soft_status(solution), solution.x, solution.u, solution.message)

    def __call__(self, x: ArrayLike) -> Array:
        """The control (m,) at state x (n,), without a warm start.

        Raises:
            RuntimeError: no solver converged.
        """
        plan = self.plan(x)
        if plan.status == "failed":
            raise RuntimeError(f"MPC found no control at x = {np.asarray(x).tolist()}: {plan.message}")
        return self.system.saturate(plan.u[0])


def _soft_status(solution: Solution) -> Status:
    if not solution.solved:
        return "failed"
    return "soft" if solution.slack > TOLERANCE else "solved"


def _shifted(plan: Plan) -> tuple[Array, Array]:
    """The plan one step later, with its last state and control repeated."""
    return np.concatenate([plan.x[1:], plan.x[-1:]]), np.concatenate([plan.u[1:], plan.u[-1:]])


def _terminal_cost(system: System, terminal: str | ArrayLike) -> Array | None:
    if isinstance(terminal, str):
        if terminal == "task":
            return None
        if terminal == "riccati":
            return lqr(system)[1] * np.outer(system.x_scale, system.x_scale)
        raise ValueError(f"terminal must be 'riccati', 'task' or a matrix, not {terminal!r}")
    matrix = checked_numbers("terminal", terminal)
    if matrix.shape != (system.n, system.n) or not np.all(np.isfinite(matrix)):
        raise ValueError(f"terminal must be a finite ({system.n}, {system.n}) matrix, not of shape {matrix.shape}")
    return matrix
