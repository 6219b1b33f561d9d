"""Anything that can fly a plant: state feedback, open-loop plans, MPC, and language models by text.

A policy is started on a batch of trajectories and gives a `Controller`, which is then asked for controls, step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from control_envs.utils.types import Array

OK = "ok"
# Verdicts under which a trajectory counts as flown; any other is no answer, and its trajectory is in no average of trajectories.
ANSWERS = (OK, "soft")


class Controller(Protocol):
    """A policy at the controls of S trajectories.

    Attributes:
        verdicts: for each trajectory "ok", or what is to be said of it: "soft" (MPC gave up a state bound), "failed"
            (a solver did not converge), a parser's verdict; shape (S,), object dtype.
    """

    verdicts: np.ndarray

    def control(self, x: Array, k: int) -> Array:
        """Controls (S, m) at step k from states (S, n)."""
        ...


class Policy(Protocol):
    """A named way to fly one plant."""

    name: str

    def start(self, x0: Array) -> Controller:
        """Takes the controls of S trajectories that start at x0 (S, n)."""
        ...

    def decisions(self, horizon: int) -> int:
        """How often it decides in a trajectory of that many steps; 0 where the time it takes means nothing."""
        ...


class Feedback:
    """A state feedback ``law(x, k)``: states (S, n) at step k to controls (S, m)."""

    def __init__(self, name: str, law: Callable[[Array, int], Array]):
        self.name, self._law = name, law

    def start(self, x0: Array) -> Controller:
        return _FeedbackController(self._law, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _FeedbackController:
    def __init__(self, law: Callable[[Array, int], Array], count: int, verdicts: np.ndarray | None = None):
        self._law = law
        self.verdicts = np.full(count, OK, dtype=object) if verdicts is None else verdicts

    def control(self, x: Array, k: int) -> Array:
        return self._law(x, k)
