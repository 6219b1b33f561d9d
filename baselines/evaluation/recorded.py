"""Trajectories that were flown before, played again: read from a file, or kept on disk because they take long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from baselines.controllers.classical import MPCPolicy
from baselines.controllers.policy import Controller
from baselines.evaluation.rollout import rollout
from baselines.optimum.cache import cached
from control_envs import System
from control_envs.utils.types import Array

METHOD = "mpc 1"  # part of the cache's key: a new name when what is computed changes


class Recorded:
    """Plays recorded controls open loop, which repeats the trajectories that they were recorded from.

    Args:
        controls: as commanded, shape (S, N, m).
        verdicts: shape (S,), as `Controller.verdicts`.
        completions: the S answers, of a language model.
    """

    def __init__(self, name: str, controls: Array, verdicts: Sequence[str], completions: Sequence[str] | None = None):
        self.name, self._controls, self._completions = name, controls, completions
        self._verdicts = np.array(verdicts, dtype=object)

    def start(self, x0: Array) -> Controller:
        return _RecordedController(self._controls, self._verdicts, self._completions)

    def decisions(self, horizon: int) -> int:
        return 0  # nothing is decided any more


class _RecordedController:
    def __init__(self, controls: Array, verdicts: np.ndarray, completions: Sequence[str] | None):
        self._controls, self.verdicts = controls, verdicts
        if completions is not None:
            self.completions = list(completions)

    def control(self, x: Array, k: int) -> Array:
        return self._controls[:, k]


def recorded_mpc(system: System, x0: Array, cache: bool = True, progress: bool = False) -> Recorded:
    """MPC's trajectories from initial states (S, n), kept on disk for the next time.

    Args:
        cache: as for `baselines.optimum.solver.solve_all`.
        progress: show a progress bar.
    """
    fields = cached("mpc", METHOD, system, x0, cache, lambda: _mpc_controls(system, x0, progress))
    return Recorded("MPC", fields["controls"], fields["verdicts"].tolist())


def _mpc_controls(system: System, x0: Array, progress: bool) -> dict[str, Array]:
    rolled_out = rollout(MPCPolicy(system), system, x0, progress=progress)
    return {"controls": rolled_out.trajectories.u_written, "verdicts": rolled_out.verdicts.astype(str)}
