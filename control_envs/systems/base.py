"""The definition of a plant.

A `System` holds everything specific to a plant: its equation as text, its vector field, its bounds and its cost.
Spaces, prompts, LQR, MPC, demonstrations and evaluation are derived from it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from control_envs.systems.checks import (
    checked_bounds,
    checked_cost,
    checked_count,
    checked_float,
    checked_positive,
    nearest_names,
)
from control_envs.utils.types import Array

__all__ = ["DIVERGED", "TERMINAL_WEIGHT", "System", "from_grid", "shortest", "wrapped"]

# Trajectories are not clamped to the state bounds. A state beyond this many times its bound has diverged and is held
# there, so that every later number stays finite.
DIVERGED = 1e6

# The last state's weight in J is this many times Q.
TERMINAL_WEIGHT = 5.0


SETTINGS = ("dt", "horizon", "x_bounds", "u_bounds", "x0_bounds", "Q", "R")


@dataclass(frozen=True, eq=False)
class System:
    """A continuous-time plant x' = f(x, u) under zero-order hold, with n states and m controls.

    Args:
        name: identifier in snake case; ``double_integrator`` becomes ``DoubleIntegrator-v0``.
        title: the plant's name in prose, with an article: "a double integrator".
        equation: the vector field in plain ASCII. A part in braces, such as ``u{ / mass}``, is shown only where a
            parameter that it names is not 1.
        state_names: n names, as the prompt prints them.
        control_names: m names.
        state_units: n units, for axes and documentation ("" for none).
        vector_field: ``f(x, u, xp=numpy, **params)``: takes the components of x and u and returns the n
            derivatives as a tuple. It may use only arithmetic and functions of ``xp`` such as ``xp.sin``, so that it
            runs on numpy arrays of any batch shape, torch tensors and CasADi symbols.
        x_bounds: bounds of the states, shape (n, 2), columns low and high.
        u_bounds: control limits, shape (m, 2).
        x0_bounds: bounds of initial states, shape (n, 2), inside ``x_bounds``.
        dt: length of one control interval in seconds.
        horizon: number of controls in a plan, N.
        Q: state cost, shape (n, n), positive semidefinite.
        R: control cost, shape (m, m), positive definite.
        params: the vector field's keyword parameters and their values.
        param_ranges: least and greatest value of each parameter that variations of the plant may change.
        periodic: names of states that are angles in radians. They are wrapped to [-pi, pi] after every step, so that
            a full turn counts as no distance. Their bounds must lie within [-pi, pi], so that a plan that keeps the
            bounds never crosses the jump.

    Raises:
        ValueError: an argument has the wrong shape, is not finite, or contradicts another.

    Bounds may be given as one number b (meaning [-b, b] for every component), as one (low, high) pair for
    every component, or in full. Q and R may be given as their diagonals.
    """

    name: str
    title: str
    equation: str
    state_names: tuple[str, ...]
    control_names: tuple[str, ...]
    vector_field: Callable[..., tuple[Any, ...]]
    x_bounds: Any
    u_bounds: Any
    x0_bounds: Any
    state_units: tuple[str, ...] = ()
    dt: float = 0.1
    horizon: int = 50
    Q: Any = 10.0
    R: Any = 0.1
    params: Mapping[str, float] = field(default_factory=dict)
    param_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    periodic: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def set_field(key: str, value: Any) -> None:
            object.__setattr__(self, key, value)

        set_field("x_bounds", checked_bounds("x_bounds", self.x_bounds, self.n))
        set_field("u_bounds", checked_bounds("u_bounds", self.u_bounds, self.m))
        set_field("x0_bounds", checked_bounds("x0_bounds", self.x0_bounds, self.n))
        set_field("Q", checked_cost("Q", self.Q, self.n))
        set_field("R", checked_cost("R", self.R, self.m, definite=True))
        set_field("dt", checked_positive("dt", self.dt))
        set_field("horizon", checked_count("horizon", self.horizon))
        set_field("state_units", tuple(self.state_units) or ("",) * self.n)
        set_field("params", {key: checked_float(key, value) for key, value in self.params.items()})
        if not set(self.param_ranges) <= set(self.params):
            raise ValueError(f"param_ranges names {sorted(self.param_ranges)}, but params are {sorted(self.params)}")
        if np.any(self.x0_bounds[:, 0] < self.x_bounds[:, 0]) or np.any(self.x0_bounds[:, 1] > self.x_bounds[:, 1]):
            raise ValueError(
                f"x0_bounds {self.x0_bounds.tolist()} reach outside x_bounds {self.x_bounds.tolist()}: "
                "initial states must lie inside the state bounds. Narrow x0_bounds or widen x_bounds."
            )
        if not set(self.periodic) <= set(self.state_names):
            raise ValueError(f"periodic names {list(self.periodic)}, but states are {list(self.state_names)}")
        if np.any(np.abs(self.x_bounds[self._angles]) > np.pi):
            raise ValueError(f"x_bounds {self.x_bounds.tolist()} of a periodic state must lie within [-pi, pi]")

    # -- derived sizes and scales ------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of states."""
        return len(self.state_names)

    @property
    def m(self) -> int:
        """Number of controls."""
        return len(self.control_names)

    @cached_property
    def x_scale(self) -> Array:
        """The scale of the states, shape (n,): the larger absolute bound of each. Scores divide states by it."""
        scale: Array = np.abs(self.x_bounds).max(axis=1)
        return scale

    @cached_property
    def u_scale(self) -> Array:
        """The scale of the controls, shape (m,): a third of the larger bound of each. Scores divide controls by it."""
        scale: Array = np.abs(self.u_bounds).max(axis=1) / 3.0
        return scale

    @cached_property
    def _angles(self) -> list[int]:
        return [i for i, name in enumerate(self.state_names) if name in self.periodic]

    @cached_property
    def equation_text(self) -> str:
        """The equation as prompts show it, followed by the value of each parameter in it."""
        text = re.sub(r"\{(.*?)\}", lambda part: part[1] if self._not_one(part[1]) else "", self.equation)
        named = [name for name in self.params if name in re.findall(r"\w+", text)]
        return text + "".join(f", {name} = {shortest(self.params[name])}" for name in named)

    def _not_one(self, part: str) -> bool:
        return any(self.params.get(word, 1.0) != 1.0 for word in re.findall(r"\w+", part))

    # -- variations --------------------------------------------------------------------------------------

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of what a user may change: ``gym.make`` and `get_system` take them as keyword arguments."""
        return (*SETTINGS, *self.params)

    def replace(self, **changes: Any) -> System:
        """A copy with changed settings; plant parameters (``mu=2.0``) are passed by name.

        Raises:
            ValueError: a name is neither a field nor a parameter of this plant, or a value is invalid.
        """
        fields = {f.name for f in dataclasses.fields(self)}
        params = dict(self.params)
        for key in [key for key in changes if key not in fields]:
            if key not in params:
                raise ValueError(f"{self.name} has no setting {key!r}.{nearest_names(key, fields | set(params))}")
            params[key] = changes.pop(key)
        return dataclasses.replace(self, **{"params": params, **changes})

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values (without the vector field)."""
        arrays = ("x_bounds", "u_bounds", "x0_bounds", "Q", "R")
        plain = {key: getattr(self, key).tolist() for key in arrays}
        return {"name": self.name, "dt": self.dt, "horizon": self.horizon, "params": dict(self.params), **plain}

    # -- dynamics ----------------------------------------------------------------------------------------

    def derivative(self, x: Any, u: Any, xp: Any = np) -> tuple[Any, ...]:
        """x' as a tuple of n components; x and u are sequences of components of any type that ``xp`` supports."""
        return self.vector_field(x, u, xp=xp, **self.params)

    def rk4(self, x: Any, u: Any, xp: Any = np, dt: float | None = None) -> tuple[Any, ...]:
        """One interval of the classical Runge-Kutta method with u held (Hairer, Norsett & Wanner, I, II.1).

        The only discretisation in the project: environments, rewards, LQR, MPC and data all use it.
        Order 4 in general, exact for the double integrator (a chain of integrators up to length four).

        Args:
            x: n components.
            u: m components.
            xp: the array module the components belong to (numpy, torch, casadi).
            dt: step length; the system's own by default.
        """
        h = self.dt if dt is None else dt
        k1 = self.derivative(x, u, xp)
        k2 = self.derivative(tuple(a + h / 2 * k for a, k in zip(x, k1, strict=True)), u, xp)
        k3 = self.derivative(tuple(a + h / 2 * k for a, k in zip(x, k2, strict=True)), u, xp)
        k4 = self.derivative(tuple(a + h * k for a, k in zip(x, k3, strict=True)), u, xp)
        return tuple(a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(x, k1, k2, k3, k4, strict=True))

    def step(self, x: ArrayLike, u: ArrayLike) -> Array:
        """The next state, shape (..., n), after one interval from x (..., n) under controls u (..., m)."""
        x, u = np.asarray(x, dtype=np.float64), np.asarray(u, dtype=np.float64)
        components = self.advance(np.moveaxis(x, -1, 0), np.moveaxis(u, -1, 0))
        return np.stack(np.broadcast_arrays(*components), axis=-1)

    def advance(self, x: Any, u: Any) -> tuple[Array, ...]:
        """`rk4` on numpy arrays, with angles wrapped to [-pi, pi]: n components of the next state."""
        after = self.rk4(x, u)
        if not self._angles:
            return after
        return tuple(wrapped(a) if i in self._angles else a for i, a in enumerate(after))

    def saturate(self, u: ArrayLike) -> Array:
        """Controls (..., m) limited to ``u_bounds``."""
        return np.clip(np.asarray(u, dtype=np.float64), self.u_bounds[:, 0], self.u_bounds[:, 1])

    def linearise(self, x: ArrayLike | None = None, u: ArrayLike | None = None) -> tuple[Array, Array]:
        """The discrete-time A (n, n) and B (n, m) of one step about (x, u), the origin by default.

        Central differences of the RK4 step, so that LQR is designed for the discretisation that the environment
        runs. Errors are O(eps^(2/3)), about 1e-10.
        """
        x = np.zeros(self.n) if x is None else np.asarray(x, dtype=np.float64)
        u = np.zeros(self.m) if u is None else np.asarray(u, dtype=np.float64)
        h = np.finfo(np.float64).eps ** (1 / 3)
        dx, du = h * np.eye(self.n), h * np.eye(self.m)
        A = (self.step(x + dx, u) - self.step(x - dx, u)).T / (2 * h)
        B = (self.step(x, u + du) - self.step(x, u - du)).T / (2 * h)
        return A, B

    # -- initial states ----------------------------------------------------------------------------------

    def sample_x0(self, rng: np.random.Generator, size: int | tuple[int, ...] = (), decimals: int | None = 2) -> Array:
        """Initial states, shape (*size, n), uniform over the decimal grid points inside ``x0_bounds``.

        Args:
            rng: a numpy Generator.
            size: batch shape.
            decimals: the grid is 10**-decimals wide, as printed in the prompt; None samples the continuous box
                instead.

        Raises:
            ValueError: no grid point lies inside ``x0_bounds``.
        """
        shape = ((size,) if isinstance(size, int) else tuple(size)) + (self.n,)
        low, high = self.x0_bounds[:, 0], self.x0_bounds[:, 1]
        if decimals is None:
            return rng.uniform(low, high, size=shape)
        first = np.ceil(low * 10**decimals - 1e-9).astype(np.int64)
        last = np.floor(high * 10**decimals + 1e-9).astype(np.int64)
        if np.any(first > last):
            raise ValueError(f"x0_bounds {self.x0_bounds.tolist()} contain no point with {decimals} decimals")
        return from_grid(rng.integers(first, last, size=shape, endpoint=True), decimals)


def wrapped(angle: Array) -> Array:
    """Angles wrapped to [-pi, pi]; an angle already inside stays bit for bit."""
    return np.where(np.abs(angle) <= np.pi, angle, -np.remainder(np.pi - angle, 2 * np.pi) + np.pi)


def from_grid(index: NDArray[np.int64], decimals: int) -> Array:
    """Grid indices as the floats of their decimal text: 40 at two decimals is float("0.40")."""
    # One correctly rounded division; an integer index gives no negative zero.
    x: Array = index / 10**decimals
    return x


def shortest(value: float) -> str:
    """The shortest text that reads back as the same float: 3, 0.5, 1e-07."""
    return repr(float(value)).removesuffix(".0")
