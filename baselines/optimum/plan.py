"""The optimal plan as a policy."""

from __future__ import annotations

import numpy as np

from baselines.controllers.policy import OK, Controller, OpenLoopController
from baselines.optimum.solver import Optimum
from control_envs.utils.types import Array

__all__ = ["OptimalPlan"]


class OptimalPlan:
    """Applies the optimal controls in open loop; without an optimum, the verdict is the solver's status.

    Args:
        optima: the optima from S initial states, from `baselines.optimum.solver.solve_all`.
        name: the policy's name.
    """

    def __init__(self, optima: Optimum, name: str = "optimum J*"):
        self.name, self._optima = name, optima

    def start(self, x0: Array) -> Controller:
        status, plans = self._optima.status, np.nan_to_num(self._optima.controls)
        verdicts = np.where(status == "optimal", OK, status).astype(object)
        return OpenLoopController(plans, verdicts)

    def decisions(self, horizon: int) -> int:
        return 0  # a reference, not a controller
