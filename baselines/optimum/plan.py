"""The optimum as a policy."""

from __future__ import annotations

import numpy as np

from baselines.controllers.policy import OK, Controller, _FeedbackController
from baselines.optimum.solver import Optimum
from control_envs.utils.types import Array


class OptimalPlan:
    """The optima's controls, flown open loop from their own states; where there is none, the solver's verdict.

    Args:
        optima: as `baselines.optimum.solver.solve_all` has them for S states.
    """

    def __init__(self, optima: Optimum, name: str = "optimum J*"):
        self.name, self._optima = name, optima

    def start(self, x0: Array) -> Controller:
        status, plans = self._optima.status, np.nan_to_num(self._optima.controls)
        verdicts = np.where(status == "optimal", OK, status).astype(object)
        return _FeedbackController(lambda x, k: plans[:, k], len(x0), verdicts)

    def decisions(self, horizon: int) -> int:
        return 0  # it is a ruler, not a controller: its time says nothing
