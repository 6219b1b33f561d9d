"""Rollouts of a teacher, with errors and exploration in the controls that are written.

Errors are small and random, as a model's own are. Exploration is large: now and then the demonstration writes a random
control for up to three steps, and the teacher goes on from the state that it leads to. Most of an ordinary trajectory
is near the origin, so that large states and controls are rare in demonstrations; exploration makes them common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from control_envs import System
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.teachers import Teacher, with_margin

__all__ = ["Rollout", "draw_errors", "draw_exploration", "rollout"]

_LONGEST = 3  # steps that explore with the same control


@dataclass(frozen=True, eq=False)
class Rollout:
    """Trajectories of a teacher.

    Attributes:
        x: the states that the controls are computed from, rounded if the rollout rounds, (count, N, n).
        written: controls as applied, errors and exploration included, (count, N, m).
        taught: the teacher's controls at these states, (count, N, m).
    """

    x: Array
    written: Array
    taught: Array


def rollout(
    system: System,
    x0: Array,
    teacher: Teacher,
    errors: Array,
    exploration: Array | None = None,
    decimals: int | None = None,
) -> Rollout:
    """Applies a teacher's controls, rounded as in text.

    Args:
        x0: the teacher's feasible initial states, (count, n).
        errors: what is added to each control, (N, count, m).
        exploration: controls to write in place of the teacher's where the teacher can go on afterwards, (N, count, m);
            NaN for none.
        decimals: continue from states rounded to this many decimals, as reasoning writes them.
    """
    x, states, controls, targets = x0, [], [], []
    box = with_margin(system).x_bounds
    for k, error in enumerate(errors):
        states.append(x if decimals is None else np.round(x, decimals))
        targets.append(np.round(system.saturate(teacher(k, states[-1])), DECIMALS))
        u = np.round(system.saturate(targets[-1] + error), DECIMALS)
        if exploration is not None:
            rows = np.flatnonzero(np.isfinite(exploration[k]).all(axis=1))
            rows = rows[_goes_on(teacher, rows, k + 1, system.step(states[-1][rows], exploration[k, rows]), box)]
            u[rows] = exploration[k, rows]
        controls.append(u)
        x = system.step(states[-1], u)
    return Rollout(np.stack(states, axis=1), np.stack(controls, axis=1), np.stack(targets, axis=1))


def _goes_on(teacher: Teacher, rows: np.ndarray, k: int, x: Array, box: Array) -> np.ndarray:
    """Where the states x (rows, n) at step k are inside the box (n, 2) and the teacher can go on from them."""
    inside = np.all((x > box[:, 0]) & (x < box[:, 1]), axis=1)
    if inside.any():
        inside[inside] = teacher.restart(rows[inside], k, x[inside])
    return inside


def draw_errors(system: System, count: int, size: float, seed: int) -> Array:
    """Errors of ``count`` plans, (N, count, m): white noise plus a constant offset, because a model has both.

    Args:
        size: largest standard deviation, as a multiple of ``system.u_scale``; each plan draws its own, uniformly from
            zero to this.
    """
    rng = np.random.default_rng(seed)
    deviation = size * system.u_scale * rng.uniform(size=(count, 1))
    offset = rng.standard_normal((count, system.m))
    return deviation * (offset + rng.standard_normal((system.horizon, count, system.m)))


def draw_exploration(system: System, count: int, share: float, seed: int) -> Array:
    """Controls that ``count`` plans explore with, (N, count, m), NaN where they do not.

    Args:
        share: the probability that exploration begins at a step. It lasts one to three steps, with a control that is
            uniform within its bounds.
    """
    rng = np.random.default_rng(seed)
    shape = (system.horizon, count)
    begins, length = rng.uniform(size=shape) < share, rng.integers(1, _LONGEST + 1, shape)
    low, high = system.u_bounds.T
    drawn: Array = np.round(rng.uniform(low, high, (*shape, system.m)), DECIMALS)
    exploration = np.full(drawn.shape, np.nan)
    for k, row in np.argwhere(begins):
        exploration[k : k + length[k, row], row] = drawn[k, row]
    return exploration
