"""The double integrator: a unit mass pushed along a line, x1' = x2, x2' = u.

RK4 with zero-order hold is exact for it, so that every score on it is exact up to rounding.
"""

from control_envs.systems.base import System


def vector_field(x, u, xp=None):
    """(x2, u); components of any array type."""
    return x[1], u[0]


SYSTEM = System(
    name="double_integrator",
    title="a double integrator",
    equation="x1' = x2, x2' = u",
    state_names=("position", "velocity"),
    state_units=("m", "m/s"),
    control_names=("u",),
    vector_field=vector_field,
    x_bounds=1.0,
    u_bounds=3.0,
    x0_bounds=0.8,
)
