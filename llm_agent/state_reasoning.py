"""Reasoning that carries the state: the trajectory written out, each control beside the state it is computed from.

    feedback k1=5.9 k2=6.8; trajectory 0.4000, -0.2000, -1.00, 0.3750, -0.3000, -0.16, ...

State, controls, state, controls, and so on to the last control; the answer repeats the controls. A plan whose controls
stand alone must be simulated in the head; here every number follows from the few before it: the controls from the
state and the gains, the next state from the state and the controls. For that to be exact, the demonstration goes on
from each state *as it is written*, rounded to `STATE_DECIMALS`, and not from the one that the plant is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from control_envs.codec import DECIMALS
from control_envs.systems.base import Array, System

# Rounding moves the plant away from what is written, and an unstable one amplifies it: at three decimals the upright
# pendulum falls from a third of its initial states, at four every registered plant is controlled as without rounding.
STATE_DECIMALS = 4
TRAJECTORY = "trajectory "
_NUMBER = re.compile(r"(?<![\w.])-?[0-9]{1,6}\.[0-9]{1,6}(?![\w.])")


@dataclass(frozen=True, eq=False)
class WrittenRollout:
    """Trajectories as the reasoning writes them.

    Attributes:
        x: states that the controls are computed from, on the grid of `STATE_DECIMALS`, (count, N, n).
        u: controls, errors included, (count, N, m).
        feedback: controls that the feedback gives at these states, (count, N, m); ``u`` where nothing is perturbed.
    """

    x: Array
    u: Array
    feedback: Array


def rollout(system: System, x0: Array, feedback: Callable[[int, Array], Array], errors: Array) -> WrittenRollout:
    """Applies a feedback to the states as they are written.

    Args:
        x0: initial states, (count, n).
        feedback: controls (count, m) at step k in states (count, n).
        errors: what is added to each control, (N, count, m).
    """
    x, states, controls, answers = x0, [], [], []
    for k, error in enumerate(errors):
        states.append(np.round(x, STATE_DECIMALS))
        answers.append(np.round(system.saturate(feedback(k, states[-1])), DECIMALS))
        controls.append(np.round(system.saturate(answers[-1] + error), DECIMALS))
        x = system.step(states[-1], controls[-1])
    return WrittenRollout(np.stack(states, axis=1), np.stack(controls, axis=1), np.stack(answers, axis=1))


def format_trajectory(x: ArrayLike, u: ArrayLike) -> str:
    """States (N, n) and the controls (N, m) at each of them, one after the other."""
    states, controls = np.asarray(x, dtype=np.float64), np.asarray(u, dtype=np.float64)
    steps = zip(np.round(states, STATE_DECIMALS) + 0.0, np.round(controls, DECIMALS) + 0.0, strict=True)
    return TRAJECTORY + ", ".join(
        ", ".join([*(f"{value:.{STATE_DECIMALS}f}" for value in x), *(f"{value:.{DECIMALS}f}" for value in u)])
        for x, u in steps
    )


def parse_trajectory(text: str, n: int, m: int) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) that a reasoning writes, or None if its numbers are not whole steps."""
    numbers = [float(number) for number in _NUMBER.findall(text.partition(TRAJECTORY)[2])]
    if not numbers or len(numbers) % (n + m):
        return None
    steps = np.array(numbers).reshape(-1, n + m)
    return steps[:, :n], steps[:, n:]
