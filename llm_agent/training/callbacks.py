"""Callbacks of every training phase: a progress bar, metrics.jsonl, and a mark in each complete checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from accelerate import PartialState
from tqdm.auto import tqdm
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from control_envs.utils.files import flush, write_text
from llm_agent.storage.run_folder import COMPLETE, RunFolder, Stopwatch, read_jsonl

__all__ = ["MarkComplete", "MetricsLog", "PhaseProgress", "add_phase_callbacks"]


class PhaseProgress(TrainerCallback):
    """A progress bar for the phase, with its title, the remaining time and the latest metrics.

    Args:
        title: text before the bar.
        shown: label of each logged metric to show, by the metric's key.
    """

    def __init__(self, title: str, shown: dict[str, str]):
        self.title, self.shown = title, shown
        self.bar: tqdm | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self.title, dynamic_ncols=True)

    def on_step_end(self, args, state, control, **kwargs):
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.bar is not None and logs:
            found = {label: logs[key] for key, label in self.shown.items() if logs.get(key) is not None}
            if found:
                self.bar.set_postfix({label: f"{float(value):.4g}" for label, value in found.items()})

    def close(self) -> None:
        """Closes the bar; its last state stays on the screen."""
        if self.bar is not None:
            self.bar.close()


class MetricsLog(TrainerCallback):
    """Appends every log of a phase to metrics.jsonl. Resuming removes the rows after the checkpoint."""

    def __init__(self, path: Path, phase: str):
        self.path, self.phase = path, phase

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            kept = [r for r in read_jsonl(self.path) if r["phase"] != self.phase or r["step"] <= state.global_step]
            write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and logs:
            numbers = {key: _number(value) for key, value in logs.items()}
            with open(self.path, "a") as file:
                file.write(json.dumps({"phase": self.phase, "step": state.global_step, **numbers}) + "\n")


class MarkComplete(TrainerCallback):
    """Writes a mark into each complete checkpoint, so that one cut short by a kill is recognised.

    Args:
        watch: the seconds that the phase has taken, which the mark holds.
    """

    def __init__(self, watch: Stopwatch):
        self._watch = watch

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()  # every process writes its own random state
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            flush(folder)
            write_text(folder / COMPLETE, f"{self._watch():.1f}\n")


def add_phase_callbacks(trainer: Any, run: RunFolder, phase: str, title: str, shown: dict[str, str]) -> PhaseProgress:
    """Replaces the trainer's own printing with our callbacks; returns the bar, which the caller closes."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    progress, watch = PhaseProgress(title, shown), Stopwatch(run.seconds_before(phase))
    for callback in (progress, MetricsLog(run.path / "metrics.jsonl", phase), MarkComplete(watch)):
        trainer.add_callback(callback)
    return progress


def _number(value: Any) -> Any:
    """The value, or None for NaN and infinity, which JSON lacks."""
    if isinstance(value, str):
        return value
    return None if value is None or not math.isfinite(value) else value
