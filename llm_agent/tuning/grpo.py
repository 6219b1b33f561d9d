"""GRPO trials of `llm_agent.tune`: a trial is a run from the SFT model; its value is the mean validation reward."""

from __future__ import annotations

import argparse
import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from optuna import Trial, TrialPruned
from transformers import TrainerCallback
from trl import GRPOConfig

from control_envs import format_prompt, get_system, sample_states, score_completions
from llm_agent.models.lengths import room_in_run
from llm_agent.models.loading import is_tiny, load_tokenizer
from llm_agent.policies.language_model import LLMPolicy, Sampling
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.arguments import Job, parse
from llm_agent.training.flags import GRPOArguments
from llm_agent.training.pipeline import Pipeline
from llm_agent.tuning.spaces import SPACES, Space, with_changes

__all__ = ["GRPOTrials", "PruneByReward"]

REWARD = "rewards/control/mean"
WINDOW = 10  # logs to average: the mean reward of one batch is noisy
FIXED = {"output_dir", "config", "resume", "zero_shot", "model", "eval_states", "eval_seed"}  # set by the search


class PruneByReward(TrainerCallback):
    """Reports the training reward, averaged over the last logs, and stops the trial if the pruner says so.

    Raises:
        TrialPruned: the pruner stops the trial.
    """

    def __init__(self, trial: Trial):
        self._trial = trial
        self._last: deque[float] = deque(maxlen=WINDOW)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or REWARD not in logs:
            return
        self._last.append(float(logs[REWARD]))
        self._trial.report(float(np.mean(self._last)), state.global_step)
        if self._trial.should_prune():
            raise TrialPruned(f"at step {state.global_step}")


class GRPOTrials:
    """The GRPO trials of a study.

    Attributes:
        shared: settings of all trials, by their names as flags.
        space: the search space.
        length: the last step at which a trial reports.
        task: the settings that must agree for the values of trials to be comparable.

    Raises:
        ValueError: the starting model does not exist, or `llm_agent.train_grpo` refuses a setting or a part of the
            space.
    """

    def __init__(self, args: argparse.Namespace):
        start = _permanent_name(args.sft_from)
        load_tokenizer(start)
        tiny = is_tiny(start)
        self.shared = {"sft_from": start, "system": args.system, "reward_version": args.reward_version}
        self.shared |= {"seed": args.seed} | ({"max_steps": args.steps} if args.steps else {})
        self.shared |= {} if tiny else {"model": start}  # chooses the preset
        self.space: Space = with_changes(SPACES["tiny_grpo" if tiny else "grpo"], args.space)
        self._check_space()
        self._greedy, self._states, self._seed, self._keep = args.greedy, args.states, args.seed, args.keep_models
        first = {name: entry.first() for name, entry in self.space.items()}
        config = self._job(first).grpo
        assert config is not None
        self.length = config.max_steps
        self.task = self.shared | {
            "max_steps": self.length,
            "states": args.states,
            "decoding": "greedy" if args.greedy else "sampled",
        }

    def _check_space(self) -> None:
        known = {f.name for kind in (GRPOArguments, GRPOConfig) for f in fields(kind)}
        for name in self.space:
            if name not in known:
                raise ValueError(f"--space: train_grpo has no option {name!r}")
            if name in self.shared.keys() | FIXED | {"max_steps"}:
                raise ValueError(f"--space: {name} is the same for all trials and cannot be searched")

    def command(self, best: Path) -> str:
        """The command that trains with the settings in the file ``best``."""
        return f"python -m llm_agent.train_grpo --config {best}"

    def run(self, trial: Trial, settings: Mapping[str, Any], folder: Path) -> float:
        """Runs a trial; returns the mean reward of its model's plans from validation initial states.

        Raises:
            TrialPruned: the pruner stopped the trial.
        """
        job = self._job(settings)
        run = RunFolder.create(folder, "trial", job.settings())
        try:
            Pipeline(run, job, [PruneByReward(trial)]).train()
            return self._value(run)
        finally:
            for phase in () if self._keep else ("sft", "grpo"):
                shutil.rmtree(run.path / phase, ignore_errors=True)

    def _job(self, settings: Mapping[str, Any]) -> Job:
        # No checkpoints: a trial whose process died is not resumed, but marked as failed and replaced by another.
        words = {**self.shared, **settings, "save_strategy": "no"}
        return parse("grpo", [word for name, value in words.items() for word in (f"--{name}", str(value))])

    def _value(self, run: RunFolder) -> float:
        settings = run.settings
        policy = LLMPolicy.from_pretrained(run.path, sampling=Sampling(**settings["sampling"]))
        policy.max_new_tokens = room_in_run(policy.tokenizer, settings)
        totals = []
        for system in map(get_system, settings["systems"]):
            x0 = sample_states(system, self._states, "validation", self._seed)
            completions = policy.act([format_prompt(system, x) for x in x0], self._greedy, self._seed)
            totals.append(score_completions(system, x0, completions, settings["reward_version"]).total)
        return float(np.mean(totals))


def _permanent_name(name: str) -> str:
    """The resolved path of a model: ``runs/latest`` will mean another run later."""
    if not Path(name).exists():
        return name  # a hub id, or a typing error
    path, here = Path(name).resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
