"""The double integrator: a mass pushed along a line, x1' = x2, x2' = u / mass.

RK4 with zero-order hold is exact here, so that scores are exact up to rounding.
"""

from typing import Any

from control_envs.systems.base import System


def vector_field(x: Any, u: Any, xp: Any = None, mass: float = 1.0) -> tuple[Any, ...]:
    """(x2, u / mass); components of any array type."""
    return x[1], u[0] / mass


SYSTEM = System(
    name="double_integrator",
    title="a double integrator",
    equation="x1' = x2, x2' = u{ / mass}",
    state_names=("position", "velocity"),
    state_units=("m", "m/s"),
    control_names=("u",),
    vector_field=vector_field,
    x_bounds=1.0,
    u_bounds=3.0,
    x0_bounds=0.8,
    params={"mass": 1.0},
    param_ranges={"mass": (0.5, 2.0)},
)

# With a speed limit and a low weight on speed: saturated LQR violates the limit from about half of the initial states,
# although a feasible plan exists from all of them.
HARD = SYSTEM.replace(
    name="double_integrator_hard",
    x_bounds=[(-1.0, 1.0), (-0.5, 0.5)],
    u_bounds=2.0,
    x0_bounds=[(-0.8, 0.8), (-0.4, 0.4)],
    Q=(10.0, 0.1),
)
