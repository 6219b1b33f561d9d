"""The Van der Pol oscillator with a control force, x1' = x2, x2' = mu (1 - x1^2) x2 - x1 + u.

The origin is unstable: without control, every trajectory ends on the limit cycle (amplitude about 2).
B. van der Pol, "On relaxation-oscillations", Phil. Mag. 2 (1926).
"""

from typing import Any

from control_envs.systems.base import System


def vector_field(x: Any, u: Any, xp: Any = None, mu: float = 1.0) -> tuple[Any, ...]:
    """(x2, mu (1 - x1^2) x2 - x1 + u); components of any array type."""
    return x[1], mu * (1.0 - x[0] * x[0]) * x[1] - x[0] + u[0]


SYSTEM = System(
    name="van_der_pol",
    title="a Van der Pol oscillator",
    equation="x1' = x2, x2' = mu (1 - x1^2) x2 - x1 + u",
    state_names=("position", "velocity"),
    control_names=("u",),
    vector_field=vector_field,
    x_bounds=2.0,
    u_bounds=5.0,
    x0_bounds=1.5,
    params={"mu": 1.0},
    param_ranges={"mu": (0.2, 2.0)},
)

# Weaker control over more steps, from anywhere inside the state bounds. From about a twentieth of the initial states,
# in the corners where the oscillator moves outwards, no feasible plan exists. Success is a final error below 0.2, as
# for the default.
HARD = SYSTEM.replace(
    name="van_der_pol_hard",
    u_bounds=2.0,
    x0_bounds=2.0,
    dt=0.05,
    horizon=100,
)
