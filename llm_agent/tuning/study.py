"""A study that many processes and machines work on: where it is kept, whose turn it is, which trials have died."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
DATABASES = (".db", ".sqlite", ".sqlite3")
TASK, WORKER, ALIVE = "task", "worker", "alive"  # what the study and its trials carry
BEAT, SILENCE = 60.0, 600.0  # seconds between signs of life; without any for so long, a trial has died
POLL = 1.0
PAUSES = (0.1, 0.5, 2.0)  # between attempts to open a database
HERE = f"{socket.gethostname()}-{uuid.getnode():x}"


# -- the study -----------------------------------------------------------------------------------------------


def open_storage(where: str) -> BaseStorage:
    """A journal file, an SQLite file (by its name's end), or a database (by its URL).

    Raises:
        ValueError: it cannot be opened, or is something else.
        OSError: a file cannot be read or made.
    """
    if Path(where).suffix in DATABASES and "://" not in where:
        where = f"sqlite:///{_made(Path(where))}"
    try:
        if "://" in where:
            return _database(where)
        # A full path: Optuna's lock is a link to it from beside it, which must not lead nowhere.
        return JournalStorage(JournalFileBackend(str(_made(Path(where)))))
    except (SQLAlchemyError, ValueError) as error:
        raise ValueError(f"cannot open the storage {where}: {' '.join(str(error).split())}") from None


def _database(url: str) -> RDBStorage:
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    for pause in PAUSES:
        try:
            return RDBStorage(url, engine_kwargs=wait)
        except (IntegrityError, OperationalError):  # perhaps another worker is making the tables at this moment
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs=wait)


def _made(path: Path) -> Path:
    """The full path of a file, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def open_study(name: str, storage: str, task: dict[str, Any], sampler: BaseSampler, pruner: BasePruner) -> Study:
    """A new study, or the one of that name; values are maximised.

    Args:
        task: what makes the values of one study comparable.

    Raises:
        ValueError: the study is there with another task.
    """
    study = optuna.create_study(
        study_name=name,
        storage=open_storage(storage),
        sampler=sampler,
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )
    if TASK not in study.user_attrs:
        study.set_user_attr(TASK, task)
    kept = study.user_attrs[TASK]
    for key in task:
        if kept.get(key) != task[key]:
            raise ValueError(
                f"the study {name!r} in {storage} is of another task: its {key} is {kept.get(key)!r}, not "
                f"{task[key]!r}: choose another --study, or ask for the same"
            )
    return study


class SamplerByTrial(BaseSampler):
    """TPE whose randomness depends on (seed, the trial's number): workers differ, and a search goes on as it began.

    Args:
        startup: trials that are drawn at random before TPE has something to go by.
    """

    def __init__(self, seed: int, startup: int = 10):
        self._seed, self._startup = seed, startup
        self._sampler = TPESampler(n_startup_trials=startup)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        self._sampler = TPESampler(n_startup_trials=self._startup, seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def make_pruner(name: str, length: int) -> BasePruner:
    """A pruner by its name.

    Args:
        name: "median" (after five trials, past a fifth of the run), "hyperband" or "none".
        length: the last step at which a trial reports.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=length // 5)
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(1, length // 9), max_resource=length)
    return NopPruner()


# -- workers -------------------------------------------------------------------------------------------------


class SignsOfLife(AbstractContextManager["SignsOfLife"]):
    """While a trial runs, says in the storage whose it is, and every `BEAT` seconds that it is still alive."""

    def __init__(self, trial: Trial):
        self._trial, self._over = trial, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> SignsOfLife:
        self._trial.set_user_attr(WORKER, {"host": HERE, "pid": os.getpid()})
        self._trial.set_user_attr(ALIVE, time.time())
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._trial.set_user_attr(ALIVE, time.time())
            except UpdateFinishedTrialError:  # another worker took this one for dead
                return


def fail_dead_trials(study: Study) -> list[int]:
    """Marks the running trials whose process is gone as failed; returns their numbers."""
    dead = [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if is_dead(t)]
    for number in dead:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    return dead


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a running trial's process is gone: not on this machine any more, or silent for `SILENCE` seconds.

    To be asked between this process's own trials: one that bears its number is of a process before it.
    """
    worker = trial.user_attrs.get(WORKER)
    if worker and worker["host"] == HERE and (worker["pid"] == os.getpid() or not _runs(worker["pid"])):
        return True
    began = (trial.datetime_start or datetime.now()).timestamp()
    return time.time() - trial.user_attrs.get(ALIVE, began) > SILENCE


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def count_finished(study: Study) -> int:
    """Trials that are complete or pruned."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def await_turn(study: Study, wanted: int, deadline: float, say: Callable[[str], None]) -> bool:
    """Whether to run another trial, so that ``wanted`` are finished in the end; False when they are, or time is up.

    While others run the last ones it waits: should one of them die, its place is free. (Two workers who look in the
    same instant may run one too many.)

    Args:
        deadline: of `time.monotonic`.
    """
    waited = False
    while time.monotonic() < deadline:
        for number in fail_dead_trials(study):
            say(f"trial {number} died with its process: marked as failed")
        states = Counter(t.state for t in study.get_trials(deepcopy=False))
        finished, running = sum(states[s] for s in FINISHED), states[TrialState.RUNNING]
        if finished >= wanted:
            return False
        if finished + running < wanted:
            return True
        if not waited:
            say(f"{finished} of {wanted} trials are finished, other processes run the last {running}: waiting")
        waited = True
        time.sleep(POLL)
    return False
