"""The work of one process on a study: it runs trials, prints their results and writes the best settings."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import yaml
from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from control_envs.utils.files import write_text
from control_envs.utils.tables import table
from llm_agent.tuning.spaces import Space
from llm_agent.tuning.study import SignsOfLife, await_turn, count_finished

__all__ = ["Search", "Trials", "best_trials", "say"]

BEST = "best.yaml"
SETTINGS, ERROR = "settings", "error"  # user attributes of a trial
SHOWN = 5  # trials in the final table
# torch raises these if hyperparameters make weights infinite or need too much memory: the trial fails, not the search.
FAILURES = (ValueError, RuntimeError)
PATIENCE = 5  # failures in a row after which the search stops


class Trials(Protocol):
    """The interface of a kind of training; see `llm_agent.tuning.grpo.GRPOTrials`."""

    shared: dict[str, Any]
    space: Space
    length: int
    task: dict[str, Any]

    def run(self, trial: Trial, settings: Mapping[str, Any], folder: Path) -> float:
        """Runs a trial; returns its value."""
        ...

    def command(self, best: Path) -> str:
        """The command that trains with the settings in the file ``best``."""
        ...


class Search:
    """The work of this process on a study.

    Args:
        study: the study.
        trials: the kind of training.
        wanted: number of trials to finish, by all processes together.
        folder: folder of the trials' folders and of best.yaml.
    """

    def __init__(self, study: Study, trials: Trials, wanted: int, folder: Path):
        self._study, self._trials, self._wanted, self._folder = study, trials, wanted, folder
        self._failures = 0

    def run(self, timeout: float) -> None:
        """Runs trials until enough are finished or ``timeout`` seconds have passed.

        Raises:
            ValueError: `PATIENCE` trials in a row failed.
        """
        deadline = time.monotonic() + timeout
        while await_turn(self._study, self._wanted, deadline, say):
            self._study.optimize(
                self._objective, n_trials=1, catch=FAILURES, callbacks=[self._after], gc_after_trial=True
            )

    def _objective(self, trial: Trial) -> float:
        with SignsOfLife(trial):
            settings = {name: entry.suggest(trial, name) for name, entry in self._trials.space.items()}
            trial.set_user_attr(SETTINGS, settings)
            say(f"trial {trial.number}: " + ", ".join(f"{k}={_cell(v)}" for k, v in settings.items()))
            try:
                return self._trials.run(trial, settings, self._folder / f"trial_{trial.number:04d}")
            except FAILURES as error:
                trial.set_user_attr(ERROR, " ".join(str(error).split()))
                raise

    def _after(self, study: Study, trial: FrozenTrial) -> None:
        failed = trial.state == TrialState.FAIL
        self._failures = self._failures + 1 if failed else 0
        why = trial.user_attrs.get(ERROR, "its value is not a number")
        if self._failures == PATIENCE:
            raise ValueError(f"{PATIENCE} trials in a row failed, the last because: {why}")
        pruned = f"pruned at report {trial.last_step} of {self._trials.length}"
        outcomes = {TrialState.FAIL: f"failed: {why}", TrialState.PRUNED: pruned}
        outcome = outcomes.get(trial.state) or f"{trial.value:.6g}"
        best = best_trials(study)
        so_far = f", best {best[0].value:.6g} (trial {best[0].number})" if best else ""
        seconds = trial.duration.total_seconds() if trial.duration else math.nan
        say(f"[{count_finished(study)}/{self._wanted}] trial {trial.number}: {outcome}{so_far}, {seconds:.0f} s")
        self.write_best()

    def write_best(self) -> Path | None:
        """Writes the best trial's settings to best.yaml and returns its path; None without a complete trial."""
        best = best_trials(self._study)[:1]
        for trial in best:
            path = self._folder / BEST
            text = f"# trial {trial.number} of the study {self._study.study_name}: {trial.value:.6g}\n"
            text += f"# {self._trials.command(path)}\n"
            settings = {**self._trials.shared, **trial.user_attrs[SETTINGS]}
            part = self._folder / f"{BEST}.{os.getpid()}"  # other workers write the file too
            write_text(part, text + yaml.safe_dump(settings, sort_keys=False))
            part.replace(path)
            return path
        return None

    def report(self) -> None:
        """Prints the best trials, and the command that trains with the settings of the first."""
        best = best_trials(self._study)
        path = self.write_best()
        if path is None:
            print("no trial is complete yet")
            return
        names = list(self._trials.space)
        rows = [
            [str(t.number), f"{t.value:.6g}", *(_cell(t.user_attrs[SETTINGS].get(name, "-")) for name in names)]
            for t in best[:SHOWN]
        ]
        print(f"\nbest of {len(best)} complete trials: trial {best[0].number}, {best[0].value:.6g}\n")
        print(table(["trial", "value", *names], rows))
        print(f"\n{path}: {self._trials.command(path)}")


def best_trials(study: Study) -> list[FrozenTrial]:
    """The complete trials, best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda t: (-t.value, t.number))  # type: ignore[operator]


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def say(text: str) -> None:
    """Prints a line of progress."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)
