"""Stops a training early with a reason: non-finite weights, a collapsed policy, a file that cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback

from control_envs.utils.commands import CommandError
from llm_agent.storage.run_folder import RunFolder

__all__ = ["StopOnFailure", "written_or_said"]

TORCH_CANNOT_WRITE = "inline_container"  # in torch.save's error if a file cannot be written
SIGNAL, PARSED = "groups/without_signal", "control/parsed"


class StopOnFailure(TrainerCallback):
    """Stops a training that cannot succeed, before it writes another checkpoint. It stops

    * if a weight is NaN or infinite, at any step;
    * if for ``patience`` steps in a row every group has equal rewards, so that there is no gradient;
    * if for ``patience`` steps in a row the parse rate is below ``least_parsed``, after it was higher. (A model that
      does not know the format yet may go on learning it.)

    Args:
        run: the run, whose last complete checkpoint the message names.
        phase: the phase that is training.
        patience: steps; 0 to never stop for the last two reasons.
        least_parsed: parse rate, in [0, 1].

    Raises:
        CommandError: the training is stopped; names the reason, the step and the last complete checkpoint.
    """

    def __init__(self, run: RunFolder, phase: str, patience: int = 0, least_parsed: float = 0.0):
        self.run, self.phase, self.patience, self.least_parsed = run, phase, patience, least_parsed
        self._without_signal = self._unparsed = 0
        self._has_parsed = False

    def on_step_end(self, args, state, control, model=None, **kwargs):
        # Under ZeRO-3 a parameter is empty between steps; this process's share of it is in ds_tensor.
        trained = [getattr(p, "ds_tensor", p) for p in model.parameters() if p.requires_grad]
        if not torch.isfinite(torch.nn.utils.get_total_norm(trained)):
            self._stop(state, "non-finite weights (NaN or Inf)", "a smaller --learning_rate")

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not self.patience or not logs or SIGNAL not in logs:
            return
        steps = max(int(args.logging_steps), 1)
        self._without_signal = self._without_signal + steps if logs[SIGNAL] == 1 else 0
        if self._without_signal >= self.patience:
            why = f"for {self._without_signal} steps all completions of each group had the same reward"
            self._stop(state, why, "a higher --temperature or another start")
        parsed = logs.get(PARSED, 1.0)
        self._has_parsed |= parsed >= self.least_parsed
        self._unparsed = self._unparsed + steps if self._has_parsed and parsed < self.least_parsed else 0
        if self._unparsed >= self.patience:
            why = f"for {self._unparsed} steps fewer than {self.least_parsed:.0%} of the completions had a plan"
            self._stop(state, why, "a smaller --learning_rate or a larger --beta")

    def _stop(self, state: Any, why: str, cure: str) -> None:
        last = self.run.last_checkpoint(self.phase)
        checkpoint = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        raise CommandError(f"{self.phase} stopped at step {state.global_step}: {why}; {checkpoint}. Try {cure}.")


@contextmanager
def written_or_said(run: RunFolder) -> Iterator[None]:
    """Turns the error of a file that cannot be written during a run into one line that says how to continue.

    Raises:
        CommandError: in place of the original error.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_CANNOT_WRITE not in str(error):
            raise
        what = "a checkpoint could not be written" if isinstance(error, RuntimeError) else str(error)
        raise CommandError(
            f"{what}. The files in {run.path} are complete: free disk space or fix the permissions, then continue with "
            f"--resume --output-dir {run.path}"
        ) from error
