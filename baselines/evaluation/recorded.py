"""Recorded trajectories as policies: read from a file, or cached because they take long to compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baselines.controllers.classical import MPCPolicy
from baselines.controllers.policy import Controller, OpenLoopController
from baselines.evaluation.rollout import rollout
from baselines.optimum.cache import cached
from control_envs import System
from control_envs.utils.types import Array

__all__ = ["Recorded", "recorded_mpc"]

METHOD = "mpc 1"  # part of the cache key; change it when the computation changes


class Recorded:
    """Repeats recorded trajectories by applying their controls in open loop.

    Args:
        name: the policy's name.
        controls: as commanded, shape (S, N, m).
        verdicts: shape (S,), as `Controller.verdicts`.
        completions: the S completions of a text policy; None for any other.
    """

    def __init__(self, name: str, controls: Array, verdicts: Sequence[str], completions: Sequence[str] | None = None):
        self.name, self._controls, self._completions = name, controls, list(completions or ())
        self._verdicts = np.array(verdicts, dtype=object)

    def start(self, x0: Array) -> Controller:
        return OpenLoopController(self._controls, self._verdicts, self._completions)

    def decisions(self, horizon: int) -> int:
        return 0  # the recorded time is unknown


def recorded_mpc(system: System, x0: Array, cache: bool = True, progress: bool = False) -> Recorded:
    """MPC's trajectories from initial states (S, n), cached on disk.

    Args:
        system: the plant.
        x0: initial states, shape (S, n).
        cache: as for `baselines.optimum.solver.solve_all`.
        progress: show a progress bar.
    """
    fields = cached("mpc", METHOD, system, x0, cache, lambda: _mpc_controls(system, x0, progress))
    return Recorded("MPC", fields["controls"], fields["verdicts"].tolist())


def _mpc_controls(system: System, x0: Array, progress: bool) -> dict[str, Array]:
    rolled_out = rollout(MPCPolicy(system), system, x0, progress=progress)
    return {"controls": rolled_out.trajectories.u_written, "verdicts": rolled_out.verdicts.astype(str)}
