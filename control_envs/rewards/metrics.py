"""Metrics of a trajectory, independent of any reward version.

All metrics use scaled quantities, states divided by their bound and controls by a third of theirs, so that plants are
comparable (for the double integrator, scaled and physical numbers are equal).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce

import numpy as np

from control_envs.dynamics.riccati import cost_matrix
from control_envs.dynamics.trajectory import Trajectory
from control_envs.systems.base import DIVERGED, TERMINAL_WEIGHT
from control_envs.utils.types import Array

__all__ = [
    "SUCCESS_DISTANCE",
    "TOLERANCE",
    "Metrics",
    "entries",
    "length",
    "limits",
    "measure",
    "outside",
    "quadratic",
    "total",
]

SUCCESS_DISTANCE = 0.1
# Tolerance of the bounds, in scaled units, for solvers and rounding: a plan that lies on a bound is feasible.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Metrics:
    """Metrics of a batch of trajectories; every array has the batch shape (...).

    Attributes:
        initial_distance: d_0 = |x_0|, scaled.
        mean_distance: mean of d_k over all N+1 states.
        final_error: e = d_N.
        cost: J = sum_k x_k'Q x_k + u_k'R u_k + 5 x_N'Q x_N, scaled, with saturated controls.
        riccati_cost: the least J of the linearised plant without bounds, x_0'P x_0.
        effort: mean of abs(u) over controls as commanded, scaled (0 for a plan without controls).
        roughness: mean of abs(u_k - u_{k-1}) over controls as commanded, scaled (0 for a single control).
        control_violations: number of controls outside their bounds.
        state_violations: number of states x_1..x_N outside their bounds.
        inside: share of the N+1 states inside their bounds.
        settling_time: time in seconds after which d_k < 0.1 holds to the end; the duration of the trajectory if never.
        success: final_error < 0.1 and no violation.
    """

    initial_distance: Array
    mean_distance: Array
    final_error: Array
    cost: Array
    riccati_cost: Array
    effort: Array
    roughness: Array
    control_violations: Array
    state_violations: Array
    inside: Array
    settling_time: Array
    success: Array

    @property
    def violations(self) -> Array:
        """All violations, of controls and of states."""
        return self.control_violations + self.state_violations

    def to_dict(self) -> dict[str, float]:
        """The metrics of one trajectory as plain numbers.

        Raises:
            TypeError: these are metrics of a batch.
        """
        return {f.name: float(getattr(self, f.name)) for f in fields(self)}


def measure(trajectory: Trajectory) -> Metrics:
    """The metrics of a trajectory or a batch of trajectories."""
    system = trajectory.system
    x = _components(trajectory.x, system.x_scale)
    u = _components(trajectory.u, system.u_scale)
    # Clipped, so that sums of any commanded controls stay finite.
    written = [np.clip(v, -DIVERGED, DIVERGED) for v in _components(trajectory.u_written, system.u_scale)]
    distance = length(x)
    outside_x = outside(x, limits(system.x_bounds, system.x_scale))
    control_violations = outside(written, limits(system.u_bounds, system.u_scale)).sum(-1)
    state_violations = outside_x[..., 1:].sum(-1)
    final_error = distance[..., -1]
    state_cost, control_cost = quadratic(x, entries(system.Q)), quadratic(u, entries(system.R))
    return Metrics(
        initial_distance=distance[..., 0],
        mean_distance=distance.mean(-1),
        final_error=final_error,
        cost=state_cost[..., :-1].sum(-1) + control_cost.sum(-1) + TERMINAL_WEIGHT * state_cost[..., -1],
        riccati_cost=quadratic([v[..., 0] for v in x], entries(cost_matrix(system))),
        effort=_mean_over_time([np.abs(v) for v in written]),
        roughness=_mean_over_time([np.abs(np.diff(v, axis=-1)) for v in written]),
        control_violations=control_violations,
        state_violations=state_violations,
        inside=1.0 - outside_x.mean(-1),
        settling_time=_settling_steps(distance) * system.dt,
        success=(final_error < SUCCESS_DISTANCE) & (control_violations + state_violations == 0),
    )


# Vectors over time are split into components, each a block of shape (..., k): arithmetic on a last axis of two or three
# numbers takes several times as long.


def _components(values: Array, scale: Array) -> list[Array]:
    """Scaled components, each (..., k), of vectors (..., k, c)."""
    return [values[..., i] / scale[i] for i in range(len(scale))]


def entries(weight: Array) -> list[tuple[int, int, float]]:
    """Row, column and value of each non-zero entry of a weight matrix."""
    return [(i, j, w) for (i, j), w in np.ndenumerate(weight) if w]


def quadratic(v: Sequence[Array], weight: list[tuple[int, int, float]]) -> Array:
    """v'Wv for vectors given by their components, each of shape (...), and W given by its `entries`."""
    return total([w * v[i] * v[j] for i, j, w in weight]) if weight else np.zeros(np.shape(v[0]))


def length(v: Sequence[Array]) -> Array:
    """Euclidean length of vectors given by their components."""
    norm: Array = np.sqrt(total([c * c for c in v]))
    return norm


def limits(bounds: Array, scale: Array) -> list[tuple[float, float]]:
    """Lower and upper limit of each scaled component, with tolerance, for bounds (c, 2); used by `outside`."""
    return [(low - TOLERANCE, high + TOLERANCE) for low, high in (bounds / scale[:, None]).tolist()]


def outside(v: Sequence[Array], limits: list[tuple[float, float]]) -> np.ndarray:
    """Which vectors, given by their scaled components, exceed their `limits`."""
    return reduce(np.logical_or, [(c < low) | (c > high) for c, (low, high) in zip(v, limits, strict=True)])


def total(arrays: Sequence[Array]) -> Array:
    """The sum of at least one array, in order, so that a batch gives the same bits as its rows alone."""
    return reduce(np.add, arrays)


def _settling_steps(distance: Array) -> Array:
    """Index of the first state from which all states are near the origin; N if the last one is not."""
    away = distance >= SUCCESS_DISTANCE
    last_away = distance.shape[-1] - np.argmax(away[..., ::-1], axis=-1)
    steps: Array = np.minimum(np.where(away.any(-1), last_away, 0), distance.shape[-1] - 1)
    return steps


def _mean_over_time(v: list[Array]) -> Array:
    """Mean over times and components; 0 without times."""
    return sum((c.mean(-1) for c in v), start=np.zeros(())) / len(v) if v[0].shape[-1] else np.zeros(v[0].shape[:-1])
