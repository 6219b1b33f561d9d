"""Results of the benchmark: a new one, its cells, its file, and the merging of several."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from baselines.evaluation.results import Result as Evaluation
from control_envs import System
from control_envs.utils.files import write_text
from control_envs.utils.types import Array
from llm_agent.benchmarking.schema import Cell, Entry, PerState, Result
from llm_agent.benchmarking.suites import Mode, Suite

__all__ = ["merged", "new_cell", "new_result", "write"]


def new_result(suite: Suite) -> Result:
    """A result without entries, made here and now."""
    packages = ("control-grpo", "numpy", "torch", "transformers", "openai")
    found = {name: v for name in packages if (v := _version(name))}
    return Result(
        suite=suite.name,
        suite_version=suite.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={"python": platform.python_version(), **found},
        machine=f"{platform.machine()} {platform.system()}",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None


def new_cell(suite: Suite, system: System, mode: Mode, evaluation: Evaluation, reference: Array) -> Cell:
    """The cell of an evaluation from the suite's initial states.

    Args:
        suite: the suite.
        system: the plant.
        mode: of the rollout.
        evaluation: the policy's.
        reference: J* of each initial state, shape (states,); NaN where no plan keeps the bounds. Such states are left
            out.
    """
    kept = np.isfinite(reference)
    success = evaluation.values["success"][kept] > 0
    ratio, reward = evaluation.values["cost_ratio"][kept], evaluation.values["reward_1.3"][kept]
    cell = Cell(
        system=system.name,
        mode=mode,
        fingerprint=suite.fingerprint(system),
        score=0.0,
        parsed=float(evaluation.values["answered"][kept].mean()),
        success=float(success.mean()),
        verdicts=evaluation.verdicts,
        per_state=PerState(
            success=success.tolist(),
            cost_ratio=[_rounded(r) if ok else None for r, ok in zip(ratio, success, strict=True)],
            reward=[_rounded(r) for r in reward],
        ),
    )
    cell.score = round(100 * float(cell.scores().mean()), 4)
    return cell


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def write(result: Result, file: Path) -> None:
    """Writes a result atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, result.model_dump_json() + "\n")


def merged(results: Sequence[Result]) -> Result:
    """One result with the entries of all; cells of the same entry are joined.

    Raises:
        ValueError: there is none, the suites differ, or two results disagree on a cell.
    """
    if not results:
        raise ValueError("nothing to merge: give files of results")
    first = results[0]
    union = first.model_copy(update={"entries": []})
    for result in results:
        if (result.suite, result.suite_version) != (first.suite, first.suite_version):
            raise ValueError(
                f"results of the suites {first.suite} {first.suite_version} and {result.suite} "
                f"{result.suite_version} cannot be merged"
            )
        for entry in result.entries:
            _join(union.entry(entry.model_copy(update={"cells": [], "tokens": {}, "seconds": 0.0})), entry)
    return union


def _join(into: Entry, entry: Entry) -> None:
    new = []
    for cell in entry.cells:
        known = into.cell(cell.system, cell.mode)
        if known is None:
            new.append(cell)
        elif known != cell:
            raise ValueError(
                f"two results of {entry.policy} on {cell.system}, {cell.mode} differ: leave one out, or give --name"
            )
    if new:
        into.cells += new
        into.spend(entry.seconds, entry.tokens)
