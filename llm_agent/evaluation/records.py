"""What evaluation.json holds: reports by plant, and which of their policies are a run's own models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llm_agent.storage.run_folder import EVALUATION, RunFolder


def evaluation_of(run: RunFolder) -> dict[str, Any]:
    """A run's reports by plant; empty before it is evaluated."""
    return run.evaluation() if (run.path / EVALUATION).is_file() else {}


def comparable(runs: Sequence[RunFolder]) -> dict[str, dict[str, dict[str, Any]]]:
    """The reports of each plant that several of the runs share, by the runs' names.

    Raises:
        ValueError: no plant is common to two of them, they were evaluated from different states, or two have one name.
    """
    reports = {run.path.name: evaluation_of(run) for run in runs}
    if len(reports) < len(runs):
        raise ValueError("two of these runs have the same name: rename a folder, or name each run once")
    plants = list(dict.fromkeys(plant for report in reports.values() for plant in report))
    shared = [plant for plant in plants if sum(plant in report for report in reports.values()) > 1]
    if not shared:
        raise ValueError("there is nothing to compare: no two of these runs are evaluated on the same plant")
    found = {}
    for plant in shared:
        held = {run: report[plant] for run, report in reports.items() if plant in report}
        if len({json.dumps(report["states"], sort_keys=True) for report in held.values()}) > 1:
            raise ValueError(f"{plant}: the runs were evaluated from different states; evaluate them again alike")
        found[plant] = held
    return found


def is_model(policy: str) -> bool:
    """Whether a row of a run's evaluation is one of the run's own models."""
    return policy.startswith(("SFT ", "GRPO "))
