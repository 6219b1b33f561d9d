"""An Optuna study shared by processes and machines: its storage, sampler, pruner, and the trials of dead processes."""

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

__all__ = [
    "SamplerByTrial",
    "SignsOfLife",
    "await_turn",
    "count_finished",
    "fail_dead_trials",
    "is_dead",
    "make_pruner",
    "open_storage",
    "open_study",
]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
DATABASES = (".db", ".sqlite", ".sqlite3")
TASK, WORKER, ALIVE = "task", "worker", "alive"  # user attributes of the study and of its trials
BEAT, SILENCE = 60.0, 600.0  # seconds between heartbeats; seconds without one after which a trial counts as dead
POLL = 1.0  # seconds between looks at the study while waiting
PAUSES = (0.1, 0.5, 2.0)  # seconds between attempts to open a database
HERE = f"{socket.gethostname()}-{uuid.getnode():x}"


# -- the study -----------------------------------------------------------------------------------------------


def open_storage(where: str) -> BaseStorage:
    """Opens a journal file, an SQLite file (by its suffix) or a database (by its URL).

    Raises:
        ValueError: the storage cannot be opened, or has another format.
        OSError: a file cannot be read or created.
    """
    if Path(where).suffix in DATABASES and "://" not in where:
        where = f"sqlite:///{_made(Path(where))}"
    try:
        if "://" in where:
            return _database(where)
        # An absolute path: Optuna's lock is a symbolic link to the file, which must not dangle.
        return JournalStorage(JournalFileBackend(str(_made(Path(where)))))
    except (SQLAlchemyError, ValueError) as error:
        raise ValueError(f"cannot open the storage {where}: {' '.join(str(error).split())}") from None


def _database(url: str) -> RDBStorage:
    wait = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None
    for pause in PAUSES:
        try:
            return RDBStorage(url, engine_kwargs=wait)
        except (IntegrityError, OperationalError):  # another worker may be creating the tables
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs=wait)


def _made(path: Path) -> Path:
    """The absolute path of a file, whose folder is created if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def open_study(name: str, storage: str, task: dict[str, Any], sampler: BaseSampler, pruner: BasePruner) -> Study:
    """Creates a study, or opens the one of that name; values are maximised.

    Args:
        task: the settings that must agree for the values of trials to be comparable.

    Raises:
        ValueError: the study exists with another task.
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
    stored = study.user_attrs[TASK]
    for key in task:
        if stored.get(key) != task[key]:
            raise ValueError(
                f"the study {name!r} in {storage} has another task: its {key} is {stored.get(key)!r}, not "
                f"{task[key]!r}: choose another --study, or the same {key}"
            )
    return study


class SamplerByTrial(BaseSampler):
    """TPE seeded with (seed, trial number): workers draw different trials, and a resumed search is reproducible.

    Args:
        seed: of the search.
        startup: number of random trials before TPE starts.
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
    """The pruner of that name.

    Args:
        name: "median" (from the sixth trial on, after a fifth of the run), "hyperband" or "none".
        length: the last step at which a trial reports.
    """
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=length // 5)
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(1, length // 9), max_resource=length)
    return NopPruner()


# -- workers -------------------------------------------------------------------------------------------------


class SignsOfLife(AbstractContextManager["SignsOfLife"]):
    """Context of a running trial: stores its process, and a heartbeat every `BEAT` seconds."""

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
            except UpdateFinishedTrialError:  # another worker marked this trial as dead
                return


def fail_dead_trials(study: Study) -> list[int]:
    """Marks running trials whose process has ended as failed; returns their numbers."""
    dead = [t.number for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if is_dead(t)]
    for number in dead:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    return dead


def is_dead(trial: FrozenTrial) -> bool:
    """Whether a running trial's process has ended on this machine, or gave no heartbeat for `SILENCE` seconds.

    Call it only between this process's own trials: a running trial with this process's id belongs to an earlier
    process with the same id.
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
    """The number of trials that are complete or pruned."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def await_turn(study: Study, wanted: int, deadline: float, say: Callable[[str], None]) -> bool:
    """Whether to run another trial; False if ``wanted`` trials are finished or the deadline has passed.

    It waits while other processes run the last trials, since one of them may die and has to be replaced. (Two workers
    that look at the same moment may run one trial too many.)

    Args:
        study: the study.
        wanted: number of trials to finish.
        deadline: in the time of `time.monotonic`.
        say: prints a line.
    """
    waited = False
    while time.monotonic() < deadline:
        for number in fail_dead_trials(study):
            say(f"the process of trial {number} died: marked as failed")
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
