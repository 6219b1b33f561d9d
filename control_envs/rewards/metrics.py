"""What a trajectory was like, independent of any reward version.

States are divided by their bound and controls by a third of theirs before anything is measured, so that one
scale serves every plant (for the double integrator the scaled numbers are the plain ones).
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

SUCCESS_DISTANCE = 0.1
# A plan that lies on a bound keeps it: solvers and rounding are allowed this much, in scaled units.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Metrics:
    """Measures of a batch of trajectories; every array has the batch's shape (...).

    Attributes:
        initial_distance: d_0 = |x_0|, scaled.
        mean_distance: mean of d_k over all N+1 states.
        final_error: e = d_N.
        cost: J = sum_k x_k'Q x_k + u_k'R u_k + 5 x_N'Q x_N, scaled, with saturated controls.
        riccati_cost: what J would be at best if the plant were its linearisation and had no bounds, x_0'P x_0.
        effort: mean of abs(u) over controls as written, scaled (0 for a plan without controls).
        roughness: mean of abs(u_k - u_{k-1}) over controls as written, scaled (0 for a single control).
        control_violations: number of controls outside their bounds.
        state_violations: number of states x_1..x_N outside their box.
        inside: share of the N+1 states inside their box.
        settling_time: seconds until d_k < 0.1 for good; the whole trajectory's length where that never happens.
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
        """One trajectory's measures as plain numbers; raises TypeError for a batch."""
        return {f.name: float(getattr(self, f.name)) for f in fields(self)}


def measure(trajectory: Trajectory) -> Metrics:
    """Measures a trajectory or a batch of trajectories."""
    system = trajectory.system
    x = _components(trajectory.x, system.x_scale)
    u = _components(trajectory.u, system.u_scale)
    # Whatever was written, its sums stay finite.
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


# Vectors over time are taken apart into their components, each one block of shape (..., k): arithmetic on a last axis
# of two or three numbers takes several times as long.


def _components(values: Array, scale: Array) -> list[Array]:
    """Scaled components, each (..., k), of vectors (..., k, c)."""
    return [values[..., i] / scale[i] for i in range(len(scale))]


def entries(weight: Array) -> list[tuple[int, int, float]]:
    """Row, column and value of a weight matrix wherever it is not zero."""
    return [(i, j, w) for (i, j), w in np.ndenumerate(weight) if w]


def quadratic(v: Sequence[Array], weight: list[tuple[int, int, float]]) -> Array:
    """v'Wv of vectors given by their components, each of shape (...), and of W given by its `entries`."""
    return total([w * v[i] * v[j] for i, j, w in weight]) if weight else np.zeros(np.shape(v[0]))


def length(v: Sequence[Array]) -> Array:
    """Euclidean length of vectors given by their components."""
    return np.sqrt(total([c * c for c in v]))


def limits(bounds: Array, scale: Array) -> list[tuple[float, float]]:
    """The least and greatest value of each scaled component that `outside` lets pass, for bounds (c, 2)."""
    return [(low - TOLERANCE, high + TOLERANCE) for low, high in (bounds / scale[:, None]).tolist()]


def outside(v: Sequence[Array], limits: list[tuple[float, float]]) -> np.ndarray:
    """Which vectors, given by their scaled components, leave their `limits`."""
    return reduce(np.logical_or, [(c < low) | (c > high) for c, (low, high) in zip(v, limits, strict=True)])


def total(arrays: Sequence[Array]) -> Array:
    """The sum of at least one array, added in their order, so that a batch adds up as its rows alone."""
    return reduce(np.add, arrays)


def _settling_steps(distance: Array) -> Array:
    """Number of states, of N+1, before those at the end that are all near; N where the last is not."""
    away = distance >= SUCCESS_DISTANCE
    last_away = distance.shape[-1] - np.argmax(away[..., ::-1], axis=-1)
    return np.minimum(np.where(away.any(-1), last_away, 0), distance.shape[-1] - 1)


def _mean_over_time(v: list[Array]) -> Array:
    """Mean over times and components; 0 where there are no times."""
    return sum((c.mean(-1) for c in v), start=np.zeros(())) / len(v) if v[0].shape[-1] else np.zeros(v[0].shape[:-1])
