"""Closed-loop rollouts of policies from many initial states at once, in the nominal or a disturbed scenario."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from baselines.controllers.policy import ANSWERS, Controller, Policy
from control_envs import System, get_system, sample_states, simulate
from control_envs.dynamics.trajectory import Trajectory
from control_envs.systems.initial_states import Split
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["NOMINAL", "Rollout", "Scenario", "rollout"]


@dataclass(frozen=True)
class Scenario:
    """How the true plant and its measurements differ from what policies assume.

    Attributes:
        name: the scenario's name in tables.
        process_noise: standard deviation of the noise added to each state after each step, in scaled units.
        measurement_noise: standard deviation of the noise added to each state that a policy observes, scaled.
        params: parameters of the true plant (``{"mu": 1.5}``); policies assume the nominal ones.
        reach: initial states lie outside ``x0_bounds``, but within this multiple of them; 1 for the usual ones.

    Raises:
        ValueError: a negative noise, a reach below 1, or a number that is not finite.
    """

    name: str = "nominal"
    process_noise: float = 0.0
    measurement_noise: float = 0.0
    params: Mapping[str, float] = field(default_factory=dict)
    reach: float = 1.0

    def __post_init__(self) -> None:
        for key in ("process_noise", "measurement_noise"):
            if not 0 <= getattr(self, key) < np.inf:
                raise ValueError(f"{key} must be a finite number of at least 0, not {getattr(self, key)}")
        if not 1 <= self.reach < np.inf:
            raise ValueError(f"reach must be a finite number of at least 1, not {self.reach}")

    def true_plant(self, system: System) -> System:
        """The plant that is simulated."""
        return get_system(system, **self.params)

    def initial_states(self, system: System, count: int, split: Split = "test", seed: int = 0) -> Array:
        """Held-out initial states (count, n); with a reach, those outside ``x0_bounds``.

        Raises:
            ValueError: ``x0_bounds`` cannot be widened within the state bounds.
        """
        if self.reach == 1.0:
            return sample_states(system, count, split, seed)
        low = np.maximum(system.x_bounds[:, 0], self.reach * system.x0_bounds[:, 0])
        high = np.minimum(system.x_bounds[:, 1], self.reach * system.x0_bounds[:, 1])
        wider = system.replace(x0_bounds=np.stack([low, high], axis=1))
        if np.array_equal(wider.x0_bounds, system.x0_bounds):
            raise ValueError(
                f"{system.name}'s initial states already fill the state bounds: there is nothing to reach beyond"
            )
        usual_low, usual_high = system.x0_bounds.T
        drawn = count
        while True:
            drawn *= 2
            x0 = sample_states(wider, drawn, split, seed)
            outside = x0[np.any((x0 < usual_low) | (x0 > usual_high), axis=1)]
            if len(outside) >= count:
                return outside[:count]


NOMINAL = Scenario()


@dataclass(frozen=True, eq=False)
class Rollout:
    """The rollout of one policy from S initial states.

    Attributes:
        trajectories: batch shape (S,); invalid ones are meaningless.
        valid: which trajectories are valid, shape (S,).
        verdicts: shape (S,), as `Controller.verdicts`.
        seconds_per_decision: the policy's total time divided by its number of decisions, which it may make in batches;
            NaN where this is meaningless.
        controller: the controller after the rollout.
    """

    trajectories: Trajectory
    valid: np.ndarray
    verdicts: np.ndarray
    seconds_per_decision: float
    controller: Controller


def rollout(
    policy: Policy,
    system: System,
    x0: Array,
    scenario: Scenario = NOMINAL,
    seed: int = 0,
    progress: bool = False,
) -> Rollout:
    """Rolls out a policy from initial states (S, n).

    Noise depends only on the seed, the index of the initial state and the step: it is the same for all policies.

    Args:
        policy: the policy.
        system: the nominal plant.
        x0: initial states, shape (S, n).
        scenario: noise and parameters of the true plant.
        seed: seed of the noise.
        progress: show a progress bar.
    """
    plant = scenario.true_plant(system)
    x0 = np.asarray(x0, dtype=np.float64)
    S, N = len(x0), system.horizon
    disturbance = scenario.process_noise * _noise(system, S, seed, 0)
    measurement_error = scenario.measurement_noise * _noise(system, S, seed, 1)
    states, controls, elapsed = np.empty((S, N + 1, system.n)), np.empty((S, N, system.m)), 0.0
    states[:, 0] = x0
    tqdm = need("tqdm.auto", "baselines").tqdm
    steps = tqdm(
        range(N), desc=f"{policy.name} on {system.name}", disable=not progress, dynamic_ncols=True, leave=False
    )
    began = time.perf_counter()
    controller = policy.start(x0)
    elapsed += time.perf_counter() - began
    for k in steps:
        began = time.perf_counter()
        controls[:, k] = controller.control(states[:, k] + measurement_error[:, k], k)
        elapsed += time.perf_counter() - began
        now = slice(k, k + 1)
        states[:, k + 1] = simulate(plant, states[:, k], controls[:, now], disturbance[:, now]).x[:, -1]
    trajectories = Trajectory(plant, states, plant.saturate(controls), controls)
    valid = np.isin(controller.verdicts.astype(str), ANSWERS)
    decisions = S * policy.decisions(N)
    return Rollout(trajectories, valid, controller.verdicts, elapsed / decisions if decisions else np.nan, controller)


def _noise(system: System, count: int, seed: int, stream: int) -> Array:
    """Standard normal noise times the state scales, (count, N, n); a trajectory's noise does not depend on count."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, stream]))
    return rng.standard_normal((count, system.horizon, system.n)) * system.x_scale
