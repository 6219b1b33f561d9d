"""Every trajectory of a run's evaluation in one file, evaluation.parquet: a row for each policy and initial state.

Columns: ``system``, ``policy``, ``state`` (its number), ``x0``, ``verdict``, ``completion`` (of language models),
``controls`` as written, and every measure of `baselines.evaluation.results.Result` (``cost_ratio`` is J/J*).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.evaluation.comparison import ComparisonResult
from baselines.evaluation.recorded import Recorded
from baselines.evaluation.results import Result, evaluate
from control_envs import System, get_system
from control_envs.utils.files import replacing
from control_envs.utils.optional import need
from control_envs.utils.types import Array

FILE = "evaluation.parquet"


def write_trajectories(path: Path, comparisons: Mapping[str, ComparisonResult]) -> None:
    """Writes the trajectories of each plant."""
    rows = [
        row
        for name, comparison in comparisons.items()
        for r in comparison.results
        for row in _rows(name, comparison.x0, r)
    ]
    table = need("pyarrow", "llm").Table.from_pylist(rows)
    with replacing(path) as part:
        need("pyarrow.parquet", "llm").write_table(table, part, compression="zstd")


def _rows(system: str, x0: Array, result: Result) -> list[dict[str, Any]]:
    verdicts = result.controller.verdicts
    completions: Sequence[str | None] = getattr(result.controller, "completions", [None] * len(x0))
    return [
        {
            "system": system,
            "policy": result.name,
            "state": i,
            "x0": x0[i].tolist(),
            "verdict": str(verdicts[i]),
            "completion": completions[i] and completions[i].encode(errors="replace").decode(),  # type: ignore[union-attr]
            "controls": result.trajectories.u_written[i].tolist(),
            **{name: float(values[i]) for name, values in result.values.items()},
        }
        for i in range(len(x0))
    ]


def read_trajectories(path: Path, report: Mapping[str, Any]) -> tuple[Array, list[Result]] | None:
    """The initial states (S, n) and the results of one plant's evaluation, flown again from the file.

    Args:
        path: of the file.
        report: the plant's, from evaluation.json.

    Returns:
        None where there is no such file (runs of before there was one), or it is of another evaluation.
    """
    if not path.is_file():
        return None
    system = system_of(report)
    columns = need("pyarrow.parquet", "llm").read_table(path, filters=[("system", "=", system.name)]).to_pydict()
    found: dict[str, list[int]] = {}
    for row, policy in enumerate(columns["policy"]):
        found.setdefault(policy, []).append(row)
    if list(found) != list(report["policies"]) or {len(r) for r in found.values()} != {report["states"]["count"]}:
        return None

    def column(policy: str, name: str) -> list[Any]:
        return [columns[name][row] for row in found[policy]]

    first = next(iter(found))  # the optimum is always there, and always first
    x0, reference = np.array(column(first, "x0")), np.array(column(first, "cost"), dtype=np.float64)
    policies = []
    for name in found:
        completions = column(name, "completion")
        told = None if completions[0] is None else completions
        policies.append(Recorded(name, np.array(column(name, "controls")), column(name, "verdict"), told))
    return x0, [evaluate(policy, system, x0, reference) for policy in policies]


def system_of(report: Mapping[str, Any]) -> System:
    """The plant of an evaluation, with the settings that it had."""
    settings = dict(report["system"])
    params = settings.pop("params")
    return get_system(settings.pop("name"), **settings, **params)
