"""Many numeric environments stepped at once, in arrays.

All start together and end together after ``horizon`` steps. The running score is updated from sums, so that every step
of a trajectory costs the same.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from control_envs.envs.base import checked_options, checked_x0
from control_envs.envs.numeric import ControlEnv
from control_envs.rewards import DEFAULT_VERSION, score
from control_envs.rewards.running import CompiledTrajectories, RunningTrajectories
from control_envs.systems import System
from control_envs.systems.checks import checked_count, checked_numbers
from control_envs.text import DECIMALS
from control_envs.utils.types import Array

__all__ = ["BatchedControlEnv"]


class BatchedControlEnv(VectorEnv[Array, Array, Array]):
    """B copies of `control_envs.envs.ControlEnv` as one environment; ``gym.make_vec`` makes it.

    Observations are (B, n), actions (B, m), rewards (B,). The ``infos`` of the last step hold the trajectories'
    ``metrics`` and ``reward_terms``, an array (B,) for each name. What happens after the last step is Gymnasium's
    ``autoreset_mode``:

    * ``NEXT_STEP`` (the default): the next call of ``step`` starts new trajectories and ignores its actions.
    * ``SAME_STEP``: the last step returns the first observation of new trajectories, and its ``infos`` hold the old
      ones' ``final_obs`` and ``final_info``.
    * ``DISABLED``: call ``reset`` before the next step.

    All trajectories start and end together, so that a ``reset_mask`` must cover all of them; for resets one by one use
    ``vectorization_mode="sync"``.

    Args:
        num_envs: B.
        system: a plant's name or a `System`.
        reward_version: a key of `control_envs.rewards.REWARDS`.
        action_units: "normalized" or "physical".
        compiled: step with compiled loops (numba, the extra ``fast``). Compiling takes about a second for each plant;
            a step then takes less than half of the time. Rewards are the same up to rounding.
        autoreset_mode: a `gymnasium.vector.AutoresetMode` or its value, such as "SameStep".
        settings: any field or parameter of the plant.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        system: str | System = "double_integrator",
        reward_version: str = DEFAULT_VERSION,
        action_units: Literal["normalized", "physical"] = "normalized",
        render_mode: None = None,
        compiled: bool = False,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ):
        if render_mode is not None:
            raise ValueError("batched environments do not render: use one environment, or vectorization_mode='sync'")
        modes = [mode.value for mode in AutoresetMode]
        if autoreset_mode not in (*AutoresetMode, *modes):
            raise ValueError(f"autoreset_mode must be one of {', '.join(modes)}, not {autoreset_mode!r}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        single = ControlEnv(system, reward_version, action_units, **settings)
        self.num_envs, self.render_mode = checked_count("num_envs", num_envs), render_mode
        self.system, self.reward_spec = single.system, single.reward_spec
        self.single_observation_space, self.single_action_space = single.observation_space, single.action_space
        self.observation_space = batch_space(single.observation_space, num_envs)
        self.action_space = batch_space(single.action_space, num_envs)
        self._to_control = single.to_control
        self._new_trajectories = CompiledTrajectories if compiled else RunningTrajectories
        self._trajectories: CompiledTrajectories | RunningTrajectories | None = None
        self._score = np.zeros(num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Starts all trajectories from ``options["x0"]`` (B, n), or from states sampled on the two-decimal grid.

        Raises:
            ValueError: an option is invalid, or ``options["reset_mask"]`` leaves a trajectory out.
        """
        super().reset(seed=seed)
        given = checked_options(options, ("x0", "reset_mask"))
        mask, x0 = given.get("reset_mask"), given.get("x0")
        if mask is not None and not np.array_equal(np.asarray(mask, dtype=object), np.ones(self.num_envs, dtype=bool)):
            raise ValueError(
                "options['reset_mask'] must be True for every environment, since all trajectories of a batch end "
                'together: use vectorization_mode="sync" to reset them one by one'
            )
        if x0 is None:
            x0 = self.system.sample_x0(self.np_random, self.num_envs, DECIMALS)
        self._trajectories = self._new_trajectories(self.system, checked_x0(self.system, x0, self.num_envs))
        self._score = np.zeros(self.num_envs)
        return self._trajectories.observation(), {}

    def step(self, actions: Array) -> tuple[Array, Array, np.ndarray, np.ndarray, dict[str, Any]]:
        """Applies one action to each trajectory.

        Raises:
            ValueError: the actions are not (B, m) finite numbers.
            gymnasium.error.ResetNeeded: the trajectories are not started, or over with ``autoreset_mode`` DISABLED.
        """
        trajectories = self._trajectories
        if trajectories is None:
            raise gym.error.ResetNeeded("call reset() before anything else")
        all_false = np.zeros(self.num_envs, dtype=bool)
        if trajectories.steps == self.system.horizon:
            if self.autoreset_mode == AutoresetMode.DISABLED:
                raise gym.error.ResetNeeded("the trajectories are over: call reset()")
            observation, infos = self.reset()
            return observation, np.zeros(self.num_envs), all_false, all_false, infos
        actions = checked_numbers("actions", actions)
        if actions.shape != (self.num_envs, self.system.m) or not np.isfinite(actions).all():
            raise ValueError(f"actions must be ({self.num_envs}, {self.system.m}) finite numbers")
        trajectories.step(self._to_control(actions))
        total = trajectories.total(self.reward_spec.version)
        reward, self._score = total - self._score, total
        observation = trajectories.observation()
        if trajectories.steps < self.system.horizon:
            return observation, reward, all_false, all_false, {}
        infos = self._final_infos(trajectories)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            infos = {"final_obs": observation, "final_info": infos, "_final_obs": ~all_false, "_final_info": ~all_false}
            observation, _ = self.reset()
        return observation, reward, ~all_false, all_false, infos

    def _final_infos(self, trajectories: CompiledTrajectories | RunningTrajectories) -> dict[str, Any]:
        """Metrics and reward terms of whole trajectories, with Gymnasium's masks beside them."""
        metrics, there = trajectories.metrics(), np.ones(self.num_envs, dtype=bool)
        terms = score(metrics, self.reward_spec.version).terms
        return {"metrics": vars(metrics).copy(), "reward_terms": terms, "_metrics": there, "_reward_terms": there}
