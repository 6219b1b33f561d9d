"""The problems of the benchmark. A suite never changes under the same version, so that its results can be compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

import numpy as np

from control_envs import SYSTEMS, System, get_system, sample_states
from control_envs.utils.types import Array

__all__ = ["MODES", "PLANS", "SUITES", "Mode", "Suite"]

Mode = Literal["open-loop", "closed-loop"]
MODES: tuple[Mode, ...] = ("open-loop", "closed-loop")
PLANS = 5  # plans of a closed loop, each from the state that the one before led to


@dataclass(frozen=True)
class Suite:
    """Plants with their settings, and held-out initial states.

    Attributes:
        name: the suite's name.
        version: changes whenever a result would.
        systems: names of plants, as `control_envs.get_system` reads them.
        states: initial states of each plant.
        seed: their seed.
    """

    name: str
    version: str
    systems: tuple[str, ...]
    states: int = 100
    seed: int = 0

    def x0(self, system: System) -> Array:
        """The initial states of a plant, (states, n)."""
        return sample_states(system, self.states, "test", self.seed)

    def fingerprint(self, system: System) -> str:
        """A hash of a plant's settings and initial states, which shows whether a result is of the same problems."""
        described = json.dumps([system.to_dict(), np.round(self.x0(system), 9).tolist()], sort_keys=True, default=str)
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def replan_every(self, system: System, mode: Mode) -> int | None:
        """Controls that are played of each plan; None for all."""
        return -(-system.horizon // PLANS) if mode == "closed-loop" else None


SUITES = {
    suite.name: suite
    for suite in (
        Suite("all", "1.0", tuple(sorted(SYSTEMS))),
        # For models that spell numbers digit by digit and are too slow for the long plans of `all`.
        Suite("short", "1.0", (get_system("double_integrator(dt=0.5,horizon=10)").name,)),
    )
}
