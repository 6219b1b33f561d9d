"""The interface of policies: state feedback, open-loop plans, MPC and language models alike.

A policy starts a `Controller` for a batch of trajectories, which then computes the controls step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from control_envs.utils.types import Array

__all__ = ["ANSWERS", "OK", "Controller", "Feedback", "OpenLoopController", "Policy"]

OK = "ok"
# Verdicts of valid trajectories. A trajectory with any other verdict counts in no mean over trajectories.
ANSWERS = (OK, "soft")


class Controller(Protocol):
    """Controls S trajectories.

    Attributes:
        verdicts: the verdict on each trajectory: "ok", "soft" (MPC had to relax the state bounds), "failed" (a solver
            did not converge, or no answer arrived), "truncated" or "refused" (a served model's answer), or a parser's
            verdict; shape (S,), object dtype.
        completions: a text policy's completions of the S first prompts; empty for all other policies.
    """

    verdicts: np.ndarray
    completions: Sequence[str]

    def control(self, x: Array, k: int) -> Array:
        """Controls (S, m) at step k from states (S, n)."""
        ...


class Policy(Protocol):
    """A named policy for one plant."""

    name: str

    def start(self, x0: Array) -> Controller:
        """A controller for S trajectories from x0 (S, n)."""
        ...

    def decisions(self, horizon: int) -> int:
        """The number of decisions in a trajectory of ``horizon`` steps; 0 if the time per decision is meaningless."""
        ...


class Feedback:
    """State feedback as a policy.

    Args:
        name: the policy's name.
        law: ``law(x, k)`` maps states (S, n) at step k to controls (S, m).
    """

    def __init__(self, name: str, law: Callable[[Array, int], Array]):
        self.name, self._control = name, law

    def start(self, x0: Array) -> Controller:
        return _FeedbackController(self._control, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _FeedbackController:
    def __init__(self, control: Callable[[Array, int], Array], count: int):
        self._control = control
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: Sequence[str] = ()

    def control(self, x: Array, k: int) -> Array:
        return self._control(x, k)


class OpenLoopController:
    """Applies given controls, whatever the state.

    Args:
        controls: as commanded, shape (S, N, m).
        verdicts: as `Controller.verdicts`.
        completions: as `Controller.completions`.
    """

    def __init__(self, controls: Array, verdicts: np.ndarray, completions: Sequence[str] = ()):
        self._controls, self.verdicts, self.completions = controls, verdicts, completions

    def control(self, x: Array, k: int) -> Array:
        return self._controls[:, k]
