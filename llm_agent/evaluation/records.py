"""Reads evaluation.json: reports by plant, reports shared by several runs, and which rows are models of the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llm_agent.storage.run_folder import EVALUATION, RunFolder

__all__ = ["comparable", "evaluation_of"]


def evaluation_of(run: RunFolder) -> dict[str, Any]:
    """A run's reports by plant; empty if it has not been evaluated."""
    return run.evaluation() if (run.path / EVALUATION).is_file() else {}


def comparable(runs: Sequence[RunFolder]) -> dict[str, dict[str, dict[str, Any]]]:
    """The reports of each plant that several of the runs were evaluated on: plant, then run name, to report.

    Raises:
        ValueError: no plant is common to two runs, runs were evaluated from different initial states, or two runs have
            the same name.
    """
    reports = {run.path.name: evaluation_of(run) for run in runs}
    if len(reports) < len(runs):
        raise ValueError("two of these runs have the same name: rename a folder, or name each run once")
    plants = list(dict.fromkeys(plant for report in reports.values() for plant in report))
    shared = [plant for plant in plants if sum(plant in report for report in reports.values()) > 1]
    if not shared:
        raise ValueError("there is nothing to compare: no two of these runs were evaluated on the same plant")
    comparisons = {}
    for plant in shared:
        by_run = {run: report[plant] for run, report in reports.items() if plant in report}
        if len({json.dumps(report["states"], sort_keys=True) for report in by_run.values()}) > 1:
            raise ValueError(
                f"{plant}: the runs were evaluated from different initial states; evaluate them again from the same"
            )
        comparisons[plant] = by_run
    return comparisons
