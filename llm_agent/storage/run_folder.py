"""A run and its folder: settings, finished phases, models, metrics and evaluation.

runs/20261122-120000-double_integrator-0/
  run.json          settings, versions, commit, machine, finished phases: enough to repeat the run
  data/             demonstrations.parquet and their card.json
  sft/  grpo/       checkpoint-N/ while training, then the trained model as a Hugging Face folder
  metrics.jsonl     one line for each log of each phase
  evaluation.json   evaluation.md, the pictures *.png, and evaluation.parquet with every trajectory
  report.html       the run's report on one page
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

from control_envs.utils.files import LOCK, check_output_dir, locked, read_record, write_json

__all__ = [
    "COMPLETE",
    "EVALUATION",
    "LATEST",
    "RECORD",
    "RUNS",
    "RunFolder",
    "Stopwatch",
    "is_run",
    "list_runs",
    "read_jsonl",
]

RUNS = Path("runs")
LATEST = "latest"
RECORD = "run.json"
EVALUATION = "evaluation.json"
START = "start one with  python -m llm_agent.train_grpo"
COMPLETE = "complete"  # marks a checkpoint that was written to its end
_PACKAGES = ("control-grpo", "numpy", "scipy", "gymnasium", "torch", "transformers", "trl", "accelerate", "datasets")


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; `create` starts a run in it, `open` checks that it holds one.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    # -- making and finding --------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path | None, label: str, settings: dict[str, Any]) -> RunFolder:
        """Starts a new run.

        Args:
            path: the folder; None for a new one under ``runs/``, named by the time and ``label``.
            label: ends the name of a new folder.
            settings: what the run was asked to do, as JSON values.

        Raises:
            ValueError: the folder already holds a run or other files.
        """
        run = cls(check_output_dir(path) if path else _make_new(RUNS / f"{datetime.now():%Y%m%d-%H%M%S}-{label}"))
        run.path.mkdir(parents=True, exist_ok=True)
        run._check_free()  # before the lock file is created
        with locked(run.path):
            run._check_free()
            run._write(_new_record(settings))
        run._link_latest()
        return run

    def _check_free(self) -> None:
        names = {file.name for file in self.path.iterdir()} - {LOCK}
        if RECORD in names:
            raise ValueError(f"{self.path} already holds a run: add --resume to continue it, or choose another folder")
        if names:
            raise ValueError(f"{self.path} is not empty and holds no run: choose another --output-dir")

    @classmethod
    def open(cls, path: str | Path | None = None) -> RunFolder:
        """The run in a folder, by default the one started last.

        Raises:
            ValueError: the folder holds no run.
        """
        run = cls(Path(path) if path else RUNS / LATEST)
        if not is_run(run.path):
            raise ValueError(f"{run.path} holds no run (there is no run.json in it): {START}")
        run.path = run.path.resolve()
        return run

    # -- run.json ------------------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            ValueError: it is damaged, or is not the record of a run.
        """
        record = read_record(self.path / RECORD)
        if not isinstance(record.get("settings"), dict) or not isinstance(record.get("phases"), dict):
            raise ValueError(f"{self.path / RECORD} is not the record of a run: it lacks settings or phases")
        return record

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the run was started with."""
        return self.record["settings"]

    def is_done(self, phase: str) -> bool:
        """Whether a phase has finished."""
        return phase in self.record["phases"]

    def mark_done(self, phase: str, seconds: float) -> None:
        """Records that a phase has finished, and the seconds it took."""
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
        except OSError:  # some file systems have no symbolic links; the run can still be opened by its own name
            temporary.unlink(missing_ok=True)

    # -- files ---------------------------------------------------------------------------------------------

    def last_checkpoint(self, phase: str) -> str | None:
        """The newest complete checkpoint of a phase, or None."""
        complete = [p.parent for p in (self.path / phase).glob(f"checkpoint-*/{COMPLETE}")]
        return str(max(complete, key=lambda p: int(p.name.rpartition("-")[2]))) if complete else None

    def seconds_before(self, phase: str) -> float:
        """The seconds that a phase had taken at its newest complete checkpoint; 0 without one."""
        checkpoint = self.last_checkpoint(phase)
        mark = (Path(checkpoint) / COMPLETE).read_text() if checkpoint else ""
        return float(mark or 0)  # older runs left the mark empty

    def model_folder(self) -> Path:
        """The run's latest trained model: after GRPO, else after SFT.

        Raises:
            ValueError: neither phase has finished yet.
        """
        for phase in ("grpo", "sft"):
            if self.is_done(phase):
                return self.path / phase
        raise ValueError(f"{self.path} holds no trained model yet")

    def evaluation(self) -> dict[str, Any]:
        """The content of evaluation.json: a report for each plant.

        Raises:
            ValueError: the run has not been evaluated yet.
        """
        path = self.path / EVALUATION
        if not path.is_file():
            raise ValueError(f"{self.path} has not been evaluated yet: finish it with --resume")
        return json.loads(path.read_text())

    def metrics(self, phase: str | None = None) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, of one phase or of all."""
        return [row for row in read_jsonl(self.path / "metrics.jsonl") if phase in (None, row["phase"])]


def is_run(path: str | Path) -> bool:
    """Whether a folder holds a run."""
    return (Path(path) / RECORD).is_file()


def list_runs(root: Path = RUNS) -> list[RunFolder]:
    """All runs under ``root``, oldest first."""
    folders = [p.parent for p in root.glob(f"*/{RECORD}") if p.parent.name != LATEST]
    return [RunFolder(p) for p in sorted(folders)]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, without lines that are not valid JSON, such as one cut short by a kill."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _make_new(path: Path) -> Path:
    """Creates a new folder: the path itself, or the path with a number appended if it exists."""
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
    """Threads that numerical libraries may use: OMP_NUM_THREADS if set, else the number of cores."""
    configured = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(configured) if configured.isdecimal() else os.cpu_count()


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
    """Versions of the installed packages that affect a run."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


class Stopwatch:
    """Measures the seconds since it was created; call it to read them.

    Args:
        before: seconds to begin with.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._start = time.perf_counter() - before

    def __call__(self) -> float:
        return time.perf_counter() - self._start
