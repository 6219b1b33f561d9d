"""Detumbling: torques about its three principal axes stop the rotation of a rigid body.

Euler's equations for the body rates, i1 x1' = (i2 - i3) x2 x3 + u1 and cyclic; gyroscopic terms couple the axes
(Wie, "Space Vehicle Dynamics and Control", 2nd ed. 2008, ch. 6). Three states, three controls.
"""

from typing import Any

from control_envs.systems.base import System


def vector_field(x: Any, u: Any, xp: Any = None, i1: float = 1.0, i2: float = 2.0, i3: float = 3.0) -> tuple[Any, ...]:
    """Body rates' derivatives; components of any array type."""
    return (
        ((i2 - i3) * x[1] * x[2] + u[0]) / i1,
        ((i3 - i1) * x[2] * x[0] + u[1]) / i2,
        ((i1 - i2) * x[0] * x[1] + u[2]) / i3,
    )


SYSTEM = System(
    name="attitude",
    title="a tumbling rigid body",
    equation="x1' = ((i2 - i3) x2 x3 + u1) / i1, x2' = ((i3 - i1) x3 x1 + u2) / i2, x3' = ((i1 - i2) x1 x2 + u3) / i3",
    state_names=("roll_rate", "pitch_rate", "yaw_rate"),
    state_units=("rad/s",) * 3,
    control_names=("u1", "u2", "u3"),
    vector_field=vector_field,
    x_bounds=1.0,
    u_bounds=1.0,
    x0_bounds=0.8,
    dt=0.25,
    horizon=20,
    params={"i1": 1.0, "i2": 2.0, "i3": 3.0},
    param_ranges={"i1": (0.5, 1.5), "i2": (1.5, 2.5), "i3": (2.5, 3.5)},
)
