"""LQR, finite-horizon LQR and MPC as policies, and `CLASSICAL`, which lists them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from baselines.controllers.lqr import lqr
from baselines.controllers.mpc import MPC, Plan
from baselines.controllers.policy import OK, Controller, Feedback, Policy
from control_envs import System, get_system
from control_envs.dynamics import finite_horizon_lqr
from control_envs.systems.checks import checked_states
from control_envs.utils.types import Array

__all__ = ["CLASSICAL", "MPCPolicy", "finite_horizon_lqr_policy", "lqr_policy"]


def lqr_policy(system: System) -> Feedback:
    """Infinite-horizon LQR with saturated controls."""
    system = get_system(system)
    K, _ = lqr(system)
    return Feedback("LQR", lambda x, k: system.saturate(-_checked(system, x) @ K.T))


def finite_horizon_lqr_policy(system: System) -> Feedback:
    """Time-varying LQR for the horizon and terminal cost of the task, with saturated controls."""
    system = get_system(system)
    K, _ = finite_horizon_lqr(system)
    return Feedback("finite-horizon LQR", lambda x, k: system.saturate(-_checked(system, x) @ K[k].T))


def _checked(system: System, x: Array) -> Array:
    return checked_states("the state", x, system.state_names, batched=True)


class MPCPolicy:
    """Model predictive control; further keyword arguments are those of `baselines.controllers.mpc.MPC`."""

    def __init__(self, system: System, name: str = "MPC", **settings: Any):
        self.name, self._mpc = name, MPC(system, **settings)

    def start(self, x0: Array) -> Controller:
        return _MPCController(self._mpc, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _MPCController:
    def __init__(self, mpc: MPC, count: int):
        self._mpc = mpc
        self._plans: list[Plan | None] = [None] * count
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: Sequence[str] = ()

    def control(self, x: Array, k: int) -> Array:
        controls = np.zeros((len(x), self._mpc.system.m))
        for i, state in enumerate(x):
            if self.verdicts[i] == "failed":
                continue  # the trajectory is invalid already
            plan = self._plans[i] = self._mpc.plan(state, self._plans[i])
            if plan.status != "solved":
                self.verdicts[i] = plan.status
            if plan.status != "failed":
                controls[i] = self._mpc.system.saturate(plan.u[0])
        return controls


# The constructor of each classical policy, by the name that commands take.
CLASSICAL: Mapping[str, Callable[..., Policy]] = {
    "lqr": lqr_policy,
    "finite-horizon-lqr": finite_horizon_lqr_policy,
    "mpc": MPCPolicy,
}
