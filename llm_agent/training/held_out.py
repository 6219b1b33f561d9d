"""Evaluation during training: greedy and sampled plans from validation initial states, at regular steps."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP  # noqa: N817
from transformers import TrainerCallback
from trl.models import unwrap_model_for_generation

from baselines.optimum.solver import solve_all
from control_envs import format_prompt, get_system, sample_states, score_completions
from llm_agent.models.lengths import room_in_run
from llm_agent.policies.language_model import LLMPolicy, Sampling
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.processes import is_sharded

__all__ = ["STATES", "HeldOut"]

STATES = 200


class HeldOut(TrainerCallback):
    """Logs held_out/<decoding>/<measure> before training, every ``every`` steps and at the end.

    The initial states are from the validation split; ``cost_ratio`` is the median J/J*.

    Args:
        trainer: the trainer, whose model is evaluated and whose log gets the results.
        run: the run, for its plants and sampling settings.
        every: steps between two evaluations.
        states: initial states in total, divided among the plants.
    """

    def __init__(self, trainer: Any, run: RunFolder, every: int, states: int = STATES):
        self.trainer, self.every = trainer, every
        settings = run.settings
        self.version, self.sampling = settings["reward_version"], Sampling(**settings["sampling"])
        self.plants = [get_system(name) for name in settings["systems"]]
        self.room = room_in_run(trainer.processing_class, settings)
        self.x0 = [sample_states(plant, max(states // len(self.plants), 1), "validation") for plant in self.plants]
        self.optimal = [solve_all(plant, x0).cost for plant, x0 in zip(self.plants, self.x0, strict=True)]

    def on_train_begin(self, args, state, control, **kwargs):
        if state.global_step == 0:
            self._evaluate(state)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            should_log = control.should_log
            self._evaluate(state)
            control.should_log = should_log  # self.trainer.log clears it

    def _evaluate(self, state: Any) -> None:
        accelerator = self.trainer.accelerator
        if not (state.is_world_process_zero or is_sharded(accelerator)):
            return
        logs: dict[str, float] = {}
        wrapped = self.trainer.model_wrapped
        gathered = FSDP.summon_full_params(wrapped, recurse=False) if self.trainer.is_fsdp_enabled else nullcontext()
        with unwrap_model_for_generation(wrapped, accelerator) as model, gathered:  # as TRL generates
            policy = LLMPolicy(model, self.trainer.processing_class, self.sampling, self.room)
            for decoding in ("greedy", "sampled"):
                values = self._measure(policy, decoding == "greedy")
                logs |= {f"held_out/{decoding}/{name}": value for name, value in values.items()}
        if state.is_world_process_zero:
            self.trainer.log(logs)

    def _measure(self, policy: LLMPolicy, greedy: bool) -> dict[str, float]:
        rewards, successes, ratios = [], [], []
        for plant, x0, optimal in zip(self.plants, self.x0, self.optimal, strict=True):
            completions = policy.act([format_prompt(plant, x) for x in x0], greedy=greedy, seed=0)
            scores = score_completions(plant, x0, completions, self.version)
            success = np.zeros(len(x0))
            success[scores.valid] = scores.metrics.success
            rewards.append(scores.total)
            successes.append(success)
            ratios.append(scores.metrics.cost / optimal[scores.valid])
        ratio = np.concatenate(ratios)
        return {
            "reward": float(np.concatenate(rewards).mean()),
            "success": float(np.concatenate(successes).mean()),
            "cost_ratio": float(np.nanmedian(ratio)) if len(ratio) else float("nan"),
        }
