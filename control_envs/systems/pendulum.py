"""A pendulum held upright by a torque that is too weak for large angles, x1' = x2, x2' = (g/l) sin x1 + u/(m l^2).

The angle is periodic and measured from the upright, which is unstable. The greatest torque holds the pendulum at up to
50 degrees; from much further out no control keeps it from falling. The equation is that of Gymnasium's Pendulum-v1 with
the rod's mass at its end (Astrom & Furuta, "Swinging up a pendulum by energy control", Automatica 36 (2000)).
"""

from typing import Any

import numpy

from control_envs.systems.base import System


def vector_field(
    x: Any, u: Any, xp: Any = numpy, gravity: float = 9.81, length: float = 2.0, mass: float = 0.15
) -> tuple[Any, ...]:
    """(x2, gravity / length sin x1 + u / (mass length^2)); components of any array type."""
    return x[1], gravity / length * xp.sin(x[0]) + u[0] / (mass * length * length)


SYSTEM = System(
    name="upright_pendulum",
    title="a pendulum",
    equation="x1' = x2, x2' = (gravity / length) sin(x1) + u / (mass length^2)",
    state_names=("angle", "velocity"),
    state_units=("rad", "rad/s"),
    control_names=("u",),
    vector_field=vector_field,
    x_bounds=[(-1.5, 1.5), (-2.0, 2.0)],
    u_bounds=2.25,
    x0_bounds=0.5,
    dt=0.05,
    params={"gravity": 9.81, "length": 2.0, "mass": 0.15},
    param_ranges={"length": (1.5, 2.5), "mass": (0.1, 0.18)},
    periodic=("angle",),
)
