"""What ends a training early, and says why: weights that are no numbers, a policy that has collapsed, a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback

from control_envs.utils.commands import CommandError
from llm_agent.storage.run_folder import RunFolder

TORCH_CANNOT_WRITE = "inline_container"  # torch.save's only sign that a file could not be written
SIGNAL, PARSED = "groups/without_signal", "control/parsed"


class StopOnFailure(TrainerCallback):
    """Ends a training that can come to nothing, before a checkpoint of it is written.

    * A weight that is NaN or infinite, at any step.
    * For ``patience`` steps in a row, no group whose completions earned different rewards: there is no gradient.
    * For ``patience`` steps in a row, less than ``least_parsed`` of the completions held a plan, after more of them
      did. (A model that has yet to learn the format is left to learn it.)

    Args:
        run: whose last whole checkpoint the message names.
        phase: the phase that is training.
        patience: steps; 0 for no end.
        least_parsed: a share.

    Raises:
        CommandError: what happened, at which step, and the last good checkpoint.
    """

    def __init__(self, run: RunFolder, phase: str, patience: int = 0, least_parsed: float = 0.0):
        self.run, self.phase, self.patience, self.least_parsed = run, phase, patience, least_parsed
        self._without_signal = self._unparsed = 0
        self._has_parsed = False

    def on_step_end(self, args, state, control, model=None, **kwargs):
        trained = [p for p in model.parameters() if p.requires_grad]
        if not torch.isfinite(torch.nn.utils.get_total_norm(trained)):
            self._stop(state, "a weight is no finite number any more", "a smaller --learning_rate")

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not self.patience or not logs or SIGNAL not in logs:
            return
        steps = max(int(args.logging_steps), 1)
        self._without_signal = self._without_signal + steps if logs[SIGNAL] == 1 else 0
        if self._without_signal >= self.patience:
            why = f"for {self._without_signal} steps all completions of each group earned the same"
            self._stop(state, why, "a higher --temperature or another start")
        parsed = logs.get(PARSED, 1.0)
        self._has_parsed |= parsed >= self.least_parsed
        self._unparsed = self._unparsed + steps if self._has_parsed and parsed < self.least_parsed else 0
        if self._unparsed >= self.patience:
            why = f"for {self._unparsed} steps fewer than {self.least_parsed:.0%} of the completions held a plan"
            self._stop(state, why, "a smaller --learning_rate or a larger --beta")

    def _stop(self, state: Any, why: str, cure: str) -> None:
        last = self.run.last_checkpoint(self.phase)
        good = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        raise CommandError(f"{self.phase} was stopped at step {state.global_step}: {why}; {good}. Try {cure}.")


@contextmanager
def written_or_said(run: RunFolder) -> Iterator[None]:
    """Turns a file that cannot be written, in the middle of a run, into one line that says how to go on.

    Raises:
        CommandError: in place of what was raised.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_CANNOT_WRITE not in str(error):
            raise
        what = "a checkpoint could not be written" if isinstance(error, RuntimeError) else str(error)
        raise CommandError(
            f"{what}. All that {run.path} holds is whole: when there is room and leave to write, go on with "
            f"--resume --output-dir {run.path}"
        ) from error
