"""PPO trials of `llm_agent.tune`: a trial trains one policy; its value is the mean validation return."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna import Trial, TrialPruned
from stable_baselines3.common.callbacks import BaseCallback
from tqdm.auto import tqdm

from baselines.controllers.policy import Feedback
from baselines.controllers.ppo import CHECKPOINTS, checked, settings_for, train
from baselines.controllers.ppo_policy import feedback, load_policy
from baselines.evaluation.rollout import rollout
from control_envs import measure, sample_states
from control_envs.systems import one_system
from llm_agent.tuning.spaces import SPACES, Space, with_changes

__all__ = ["PPOTrials"]

PRICE = 10.0  # of a violation, in units of J, as in PPO's default reward
EVALUATIONS = 10  # per trial


class PPOTrials:
    """The PPO trials of a study; attributes as in `llm_agent.tuning.grpo.GRPOTrials`.

    Raises:
        ValueError: unknown plant, too few steps, or invalid settings in the space.
    """

    def __init__(self, args: argparse.Namespace):
        self._system, self._seed = one_system(args.system), args.seed
        steps = args.steps or settings_for(self._system).total_timesteps
        if steps < CHECKPOINTS:
            raise ValueError(f"--steps must be at least {CHECKPOINTS} for PPO, not {steps}")
        self.shared = {"total_timesteps": steps}
        self.space: Space = with_changes(SPACES["ppo"], args.space)
        checked({name: entry.first() for name, entry in self.space.items()}, "--space")
        if "total_timesteps" in self.space:
            raise ValueError("--space: total_timesteps is the same for all trials and cannot be searched")
        self.length = EVALUATIONS
        self._x0 = sample_states(self._system, args.states, "validation", args.seed)
        self.task = self.shared | {"system": args.system, "seed": args.seed, "states": args.states}

    def command(self, best: Path) -> str:
        """The command that trains with the settings in the file ``best``."""
        return f"python -m baselines.ppo --system {self._system.name} --seed {self._seed} --config {best}"

    def run(self, trial: Trial, settings: Mapping[str, Any], folder: Path) -> float:
        """Runs a trial; returns its value, see `value`.

        Raises:
            TrialPruned: the pruner stopped the trial.
        """
        chosen = settings_for(self._system, **checked({**self.shared, **settings}, "--space"))
        with tqdm(total=chosen.total_timesteps, desc=f"trial {trial.number}", dynamic_ncols=True, leave=False) as bar:
            watch = _Watch(trial, self, chosen.total_timesteps, bar)
            made = train(self._system, self._seed, chosen, folder, progress=False, callbacks=[watch])
        return self.value(load_policy(made, self._system))

    def value(self, policy: Feedback) -> float:
        """Mean of -(J + `PRICE` * violations) over the validation initial states, for every training reward."""
        metrics = measure(rollout(policy, self._system, self._x0).trajectories)
        return -float((metrics.cost + PRICE * metrics.violations).mean())


class _Watch(BaseCallback):
    """Reports the policy's value `EVALUATIONS` times, and stops the trial if the pruner says so."""

    def __init__(self, trial: Trial, trials: PPOTrials, steps: int, bar: tqdm):
        super().__init__()
        self._trial, self._trials, self._steps, self._bar = trial, trials, steps, bar
        self._reported = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._bar.update(min(self.num_timesteps, self._steps) - self._bar.n)
        reached = min(self.num_timesteps * EVALUATIONS // self._steps, EVALUATIONS)
        if reached == self._reported:
            return
        self._reported = reached
        policy = feedback(self.model, self.model.get_vec_normalize_env(), self._trials._system)
        value = self._trials.value(policy)
        self._bar.set_postfix(value=f"{value:.4g}")
        self._trial.report(value, reached)
        if self._trial.should_prune():
            raise TrialPruned(f"at step {self.num_timesteps}")
