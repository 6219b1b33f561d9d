"""Many numeric environments stepped at once, in arrays.

All of them start together and end together after ``horizon`` steps, so that one clock serves all. The running score is
kept up from sums, so that a step costs the same early and late in a flight.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from control_envs.codec import DECIMALS
from control_envs.envs import ControlEnv, checked_x0
from control_envs.metrics import SUCCESS_DISTANCE, TERMINAL_WEIGHT, Metrics, outside, quadratic
from control_envs.rewards import DEFAULT_VERSION, score
from control_envs.systems import DIVERGED, System
from control_envs.systems.base import Array
from control_envs.trajectory import held


class BatchedControlEnv(VectorEnv[Array, Array, Array]):
    """B copies of `control_envs.envs.ControlEnv` as one environment; ``gym.make_vec`` makes it.

    Observations are (B, n), actions (B, m), rewards (B,). After the last step of a flight the next call of ``step``
    starts new flights and ignores its actions (Gymnasium's ``AutoresetMode.NEXT_STEP``). ``infos`` of the last step
    holds the flights' ``metrics`` and ``reward_terms``, each name with an array (B,).

    Args:
        num_envs: B.
        system, reward_version, action_units, settings: as for `ControlEnv`.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        system: str | System = "double_integrator",
        reward_version: str = DEFAULT_VERSION,
        action_units: Literal["normalized", "physical"] = "normalized",
        render_mode: None = None,
        **settings: Any,
    ):
        if render_mode is not None:
            raise ValueError("batched environments do not render: use one environment, or vectorization_mode='sync'")
        one = ControlEnv(system, reward_version, action_units, **settings)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.system, self.reward_spec = one.system, one.reward_spec
        self.single_observation_space, self.single_action_space = one.observation_space, one.action_space
        self.observation_space = batch_space(one.observation_space, num_envs)
        self.action_space = batch_space(one.action_space, num_envs)
        self._to_control = one.to_control
        self._flights: _Flights | None = None
        self._score = np.zeros(num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Starts all flights, from ``options["x0"]`` (B, n) or from states drawn on the two-decimal grid."""
        super().reset(seed=seed)
        x0 = (options or {}).get("x0")
        if x0 is None:
            x0 = self.system.sample_x0(self.np_random, self.num_envs, DECIMALS)
        self._flights = _Flights(self.system, checked_x0(self.system, x0, self.num_envs))
        self._score = np.zeros(self.num_envs)
        return self._flights.observation(), {}

    def step(self, actions: Array):
        """Plays one action of each flight.

        Raises:
            ValueError: the actions are not (B, m) finite numbers.
        """
        flights = self._flights
        if flights is None:
            raise gym.error.ResetNeeded("call reset() before anything else")
        off = np.zeros(self.num_envs, dtype=bool)
        if flights.steps == self.system.horizon:
            observation, infos = self.reset()
            return observation, np.zeros(self.num_envs), off, off, infos
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (self.num_envs, self.system.m) or not np.isfinite(actions).all():
            raise ValueError(f"actions must be ({self.num_envs}, {self.system.m}) finite numbers")
        flights.fly(self._to_control(actions))
        metrics = flights.metrics()
        scored = score(metrics, self.reward_spec.version)
        reward, self._score = scored.total - self._score, scored.total
        if flights.steps < self.system.horizon:
            return flights.observation(), reward, off, off, {}
        infos = {"metrics": vars(metrics).copy(), "reward_terms": scored.terms, "_metrics": ~off, "_reward_terms": ~off}
        return flights.observation(), reward, ~off, off, infos


class _Flights:
    """B flights in progress: the states they have reached and the sums that their measures are made of."""

    def __init__(self, system: System, x0: Array):
        self._system, self._x, self.steps = system, tuple(x0.T.copy()), 0
        B = len(x0)
        self._scale = list(zip(range(system.n), system.x_scale.tolist(), strict=True))
        self._limit = DIVERGED * system.x_scale
        self._u: tuple[Array, ...] | None = None
        z = self._scaled()
        self._initial = self._distance = np.sqrt(quadratic(z, np.eye(system.n)))
        self._sum_distance = self._initial.copy()
        self._cost, self._state_cost = np.zeros(B), quadratic(z, system.Q)
        self._effort, self._roughness = np.zeros(B), np.zeros(B)
        self._control_violations = np.zeros(B, dtype=np.int64)
        self._state_violations = np.zeros(B, dtype=np.int64)
        self._started_outside = outside(z, system.x_bounds / system.x_scale[:, None])
        self._settled = np.where(self._initial >= SUCCESS_DISTANCE, 1, 0)

    def observation(self) -> Array:
        """The states reached, (B, n)."""
        return np.stack(self._x, axis=-1)

    def fly(self, written: Array) -> None:
        """Plays controls (B, m)."""
        system, bounds = self._system, self._system.u_bounds
        u = tuple(np.minimum(np.maximum(w, low), high) for w, (low, high) in zip(written.T, bounds, strict=True))
        with np.errstate(over="ignore", invalid="ignore"):
            self._x = tuple(held(x, limit) for x, limit in zip(system.rk4(self._x, u), self._limit, strict=True))
        self.steps += 1
        v = tuple(w / s for w, s in zip(written.T, system.u_scale, strict=True))
        self._control_violations += outside(v, bounds / system.u_scale[:, None])
        self._cost += self._state_cost + quadratic([a / s for a, s in zip(u, system.u_scale, strict=True)], system.R)
        self._effort += sum(np.abs(a) for a in v)
        if self._u is not None:
            self._roughness += sum(np.abs(a - b) for a, b in zip(v, self._u, strict=True))
        self._u = v
        z = self._scaled()
        self._state_cost = quadratic(z, system.Q)
        self._distance = np.sqrt(quadratic(z, np.eye(system.n)))
        self._sum_distance += self._distance
        self._state_violations += outside(z, system.x_bounds / system.x_scale[:, None])
        self._settled[self._distance >= SUCCESS_DISTANCE] = self.steps + 1

    def metrics(self) -> Metrics:
        """The measures of the flights so far, as `control_envs.metrics.measure` has them."""
        k, m = self.steps, self._system.m
        violations = self._control_violations + self._state_violations
        return Metrics(
            initial_distance=self._initial,
            mean_distance=self._sum_distance / (k + 1),
            final_error=self._distance,
            cost=self._cost + TERMINAL_WEIGHT * self._state_cost,
            effort=self._effort / (k * m),
            roughness=self._roughness / (max(k - 1, 1) * m),
            control_violations=self._control_violations.astype(np.float64),
            state_violations=self._state_violations.astype(np.float64),
            inside=1.0 - (self._state_violations + self._started_outside) / (k + 1),
            settling_time=np.minimum(self._settled, k) * self._system.dt,
            success=(self._distance < SUCCESS_DISTANCE) & (violations == 0),
        )

    def _scaled(self) -> list[Array]:
        return [self._x[i] / scale for i, scale in self._scale]
