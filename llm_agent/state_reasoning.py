"""Reasoning that carries the state: the trajectory written out, each control beside the state it is computed from.

    feedback k1=5.9 k2=6.8; trajectory 0.0000+0.40, 0.0000+-0.20, -1.00, -0.0050+0.38, 0.0000+-0.30, -0.16, ...

State, controls, state, controls, and so on to the last control; the answer repeats the controls. A plan whose controls
stand alone must be simulated in the head; here every number follows from the few before it: the controls from the
state and the gains, the next state from the state and the controls. For that to be exact, the demonstration goes on
from each state *as it is written*, rounded to `STATE_DECIMALS`, and not from the one that the plant is in.

A state is written as the sum of a fine and a coarse part, the fine one first, as one adds by hand: the fine part is a
sum modulo a hundredth, and beside it the coarse part needs to be known to half a hundredth only. The other way round,
the coarse part is a matter of ten-thousandths wherever the sum is near the next hundredth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from control_envs.codec import DECIMALS, END_REASONING
from control_envs.systems.base import Array, System

# Rounding moves the plant away from what is written, and an unstable one amplifies it: at three decimals the upright
# pendulum falls from a third of its initial states, at four every registered plant is controlled as without rounding.
STATE_DECIMALS = 4
FINE_STEPS = 10 ** (STATE_DECIMALS - DECIMALS)  # in a step of the coarse part
TRAJECTORY = "trajectory "
_PART = re.compile(r"(?:-?0\.[0-9]{4}\+)?-?[0-9]{1,6}\.[0-9]{2}")


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
    states, controls = np.asarray(x, dtype=np.float64), np.round(np.asarray(u, dtype=np.float64), DECIMALS) + 0.0
    steps = (
        [*map(_format_state, state), *(f"{value:.{DECIMALS}f}" for value in control)]
        for state, control in zip(states.tolist(), controls.tolist(), strict=True)
    )
    return TRAJECTORY + ", ".join(part for step in steps for part in step)


def _format_state(value: float) -> str:
    """A component of a state as the sum of its parts: 0.3841 is "0.0041+0.38", and 0.3899 is "-0.0001+0.39"."""
    fine = round(value * 10**STATE_DECIMALS)
    coarse = (fine + FINE_STEPS // 2) // FINE_STEPS
    fine -= coarse * FINE_STEPS
    return f"{fine / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}+{coarse / 10**DECIMALS:.{DECIMALS}f}"


def parse_trajectory(text: str, n: int, m: int) -> tuple[Array, Array] | None:
    """The states (N, n) and controls (N, m) that a reasoning writes, or None if its numbers are not whole steps."""
    parts = text.partition(TRAJECTORY)[2].partition(END_REASONING)[0].split(", ")
    if not all(map(_PART.fullmatch, parts)) or len(parts) % (n + m):
        return None
    numbers = [round(sum(map(float, part.split("+"))), STATE_DECIMALS) for part in parts]
    steps = np.array(numbers).reshape(-1, n + m)
    return steps[:, :n], steps[:, n:]
