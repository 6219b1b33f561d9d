"""Writes and reads evaluation.parquet: every trajectory of a run's evaluation, one row a policy and initial state.

Columns: ``system``, ``policy``, ``state`` (the number of the initial state), ``x0``, ``verdict``, ``completion`` (null
unless the policy is a language model), ``controls`` as written, and every metric of
`baselines.evaluation.results.Result` (``cost_ratio`` is J/J*).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baselines.evaluation.comparison import ComparisonResult
from baselines.evaluation.recorded import Recorded
from baselines.evaluation.results import Result, evaluate
from control_envs import System, get_system
from control_envs.utils.optional import need
from control_envs.utils.types import Array
from llm_agent.data.parquet import write_parquet

__all__ = ["FILE", "read_trajectories", "system_of", "write_trajectories"]

FILE = "evaluation.parquet"


def write_trajectories(path: Path, comparisons: Mapping[str, ComparisonResult]) -> None:
    """Writes the trajectories of all plants into one file."""
    rows = [
        row
        for name, comparison in comparisons.items()
        for result in comparison.results
        for row in _rows(name, comparison.x0, result)
    ]
    table = need("pyarrow", "llm").Table.from_pylist(rows)
    write_parquet(path, partial(need("pyarrow.parquet", "llm").write_table, table, compression="zstd"))


def _rows(system: str, x0: Array, result: Result) -> list[dict[str, Any]]:
    verdicts = result.controller.verdicts
    completions: Sequence[str | None] = result.completions or [None] * len(x0)
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
    """The initial states (S, n) and the results of one plant's evaluation, simulated again from the recorded controls.

    Args:
        path: the Parquet file.
        report: the plant's report in evaluation.json.

    Returns:
        None if there is no such file (older runs have none), or if it belongs to another evaluation.
    """
    if not path.is_file():
        return None
    system = system_of(report)
    columns = need("pyarrow.parquet", "llm").read_table(path, filters=[("system", "=", system.name)]).to_pydict()
    rows: dict[str, list[int]] = {}
    for row, policy in enumerate(columns["policy"]):
        rows.setdefault(policy, []).append(row)
    if list(rows) != list(report["policies"]) or {len(r) for r in rows.values()} != {report["states"]["count"]}:
        return None

    def column(policy: str, name: str) -> list[Any]:
        return [columns[name][row] for row in rows[policy]]

    optimum = next(iter(rows))  # every evaluation has it, as its first policy
    x0, reference = np.array(column(optimum, "x0")), np.array(column(optimum, "cost"), dtype=np.float64)
    policies = []
    for name in rows:
        texts = column(name, "completion")
        completions = None if texts[0] is None else texts
        policies.append(Recorded(name, np.array(column(name, "controls")), column(name, "verdict"), completions))
    return x0, [evaluate(policy, system, x0, reference) for policy in policies]


def system_of(report: Mapping[str, Any]) -> System:
    """The plant of an evaluation, with the settings recorded in its report."""
    settings = dict(report["system"])
    params = settings.pop("params")
    return get_system(settings.pop("name"), **settings, **params)
