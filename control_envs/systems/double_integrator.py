"""The double integrator: a mass pushed along a line, x1' = x2, x2' = u / mass.

RK4 with zero-order hold is exact for it, so that every score on it is exact up to rounding.
"""

from control_envs.systems.base import System


def vector_field(x, u, xp=None, mass=1.0):
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

# A speed limit that a cost with cheap speed makes worth breaking: saturated LQR breaks it from about half of the
# initial states, although a plan that keeps it exists from all of them.
HARD = SYSTEM.replace(
    name="double_integrator_hard",
    x_bounds=[(-1.0, 1.0), (-0.5, 0.5)],
    u_bounds=2.0,
    x0_bounds=[(-0.8, 0.8), (-0.4, 0.4)],
    Q=(10.0, 0.1),
)
