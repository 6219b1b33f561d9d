"""A run and its folder: what was asked, what has been done, what was measured.

runs/20261122-120000-double_integrator-0/
  run.json          settings, versions, commit, machine, and which phases are done: enough to repeat the run
  data/             demonstrations.parquet and their card.json
  sft/  grpo/       checkpoint-N/ while training; the trained model itself, as a Hugging Face folder
  metrics.jsonl     one line for each log of each phase
  evaluation.json   evaluation.md   and the pictures *.png; evaluation.parquet has every trajectory
  report.html       all of it on one page
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from control_envs.utils.files import LOCK, locked, read_record, write_json

RUNS = Path("runs")
LATEST = "latest"
RECORD = "run.json"
EVALUATION = "evaluation.json"
COMPLETE = "complete"
_PACKAGES = ("control-grpo", "numpy", "scipy", "gymnasium", "torch", "transformers", "trl", "accelerate", "datasets")


class RunFolder:
    """One run's folder."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    # -- making and finding --------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path | None, label: str, settings: dict[str, Any]) -> RunFolder:
        """Starts a new run in ``path``, or in a folder under ``runs/`` named by the time and ``label``.

        Raises:
            ValueError: the folder already holds a run, or other files.
        """
        run = cls(Path(path) if path else _fresh(RUNS / f"{datetime.now():%Y%m%d-%H%M%S}-{label}"))
        run.path.mkdir(parents=True, exist_ok=True)
        run._check_free()  # before a lock leaves its file there
        with locked(run.path):
            run._check_free()
            run._write(_new_record(settings))
        run._link_latest()
        return run

    def _check_free(self) -> None:
        there = {file.name for file in self.path.iterdir()} - {LOCK}
        if RECORD in there:
            raise ValueError(
                f"{self.path} already holds a run: add --resume to go on with it, or choose another folder"
            )
        if there:
            raise ValueError(f"{self.path} is not empty and holds no run: choose another --output-dir")

    @classmethod
    def open(cls, path: str | Path | None = None) -> RunFolder:
        """The run in that folder, by default the one started last.

        Raises:
            ValueError: there is no run there.
        """
        run = cls(Path(path) if path else RUNS / LATEST)
        if not is_run(run.path):
            raise ValueError(f"{run.path} holds no run (there is no run.json in it)")
        run.path = run.path.resolve()
        return run

    # -- run.json ------------------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            ValueError: it is damaged, or is no record of a run.
        """
        record = read_record(self.path / RECORD)
        if not isinstance(record.get("settings"), dict) or not isinstance(record.get("phases"), dict):
            raise ValueError(f"{self.path / 'run.json'} is no record of a run: it lacks settings or phases")
        return record

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked for."""
        return self.record["settings"]

    def is_done(self, phase: str) -> bool:
        """Whether that phase has run to its end."""
        return phase in self.record["phases"]

    def mark_done(self, phase: str, seconds: float) -> None:
        """Notes that a phase has run to its end."""
        record = self.record
        record["phases"][phase] = {"seconds": round(seconds, 1)}
        self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        write_json(self.path / RECORD, record)

    def _link_latest(self) -> None:
        link = self.path.parent / LATEST
        temporary = link.with_name(f".{LATEST}-{os.getpid()}")
        try:
            temporary.symlink_to(self.path.name)
            temporary.replace(link)
        except OSError:  # no symbolic links here (some file systems): the run is found by its own name
            temporary.unlink(missing_ok=True)

    # -- files ---------------------------------------------------------------------------------------------

    def last_checkpoint(self, phase: str) -> str | None:
        """The newest checkpoint of a phase that was written whole."""
        whole = [p.parent for p in (self.path / phase).glob(f"checkpoint-*/{COMPLETE}")]
        return str(max(whole, key=lambda p: int(p.name.rpartition("-")[2]))) if whole else None

    def model_folder(self) -> Path:
        """The model this run has come to: after GRPO, else after SFT.

        Raises:
            ValueError: no phase that trains a model is done yet.
        """
        for phase in ("grpo", "sft"):
            if self.is_done(phase):
                return self.path / phase
        raise ValueError(f"{self.path} holds no trained model yet")

    def evaluation(self) -> dict[str, Any]:
        """The reports by plant.

        Raises:
            ValueError: the run has not been evaluated yet.
        """
        path = self.path / EVALUATION
        if not path.is_file():
            raise ValueError(f"{self.path} has not been evaluated yet: finish it with --resume")
        return json.loads(path.read_text())

    def metrics(self, phase: str | None = None) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, of one phase or of all."""
        return [row for row in read_jsonl(self.path / "metrics.jsonl") if phase in (None, row["phase"])]


def is_run(path: str | Path) -> bool:
    """Whether a folder is a run's."""
    return (Path(path) / RECORD).is_file()


def list_runs(root: Path = RUNS) -> list[RunFolder]:
    """All runs under ``root``, oldest first."""
    folders = [p.parent for p in root.glob(f"*/{RECORD}") if p.parent.name != LATEST]
    return [RunFolder(p) for p in sorted(folders)]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line cut short by a kill is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _fresh(path: Path) -> Path:
    """A new folder: the path itself, or with a number behind it if it is taken."""
    candidate, i = path, 1
    while True:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            i += 1
            candidate = path.with_name(f"{path.name}-{i}")


def _new_record(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": settings,
        "command": " ".join(["python", "-m", *_module_and_arguments()]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": _git_commit(),
        "versions": _versions(),
        "machine": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "threads": _threads(),
            "processes": int(os.environ.get("WORLD_SIZE", "1")),
        },
        "phases": {},
    }


def _module_and_arguments() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return [spec.name if spec else Path(sys.argv[0]).stem, *sys.argv[1:]]


def _threads() -> int | None:
    """Threads that numerical libraries may use: the cores, unless OpenMP is told otherwise."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(told) if told.isdecimal() else os.cpu_count()


def _git_commit() -> str | None:
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], cwd=here, capture_output=True, text=True
        )
    except OSError:
        return None
    return commit.stdout.strip() or None


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self._start
