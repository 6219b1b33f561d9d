"""Comparisons of policies on one plant, from the same held-out initial states: results, report, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from baselines.controllers.policy import Policy
from baselines.evaluation.results import Result, evaluate, paired_difference, to_dict
from baselines.evaluation.rollout import NOMINAL, Scenario
from baselines.evaluation.tables import (
    COST_RATIO,
    MAIN,
    MORE,
    REWARD_SHARE,
    SUCCESS,
    caption,
    paired_table,
    policy_table,
)
from baselines.optimum.best_reward import best_rewards
from baselines.optimum.plan import OptimalPlan
from baselines.optimum.solver import Optimum, solve_all
from control_envs import System
from control_envs.utils.files import write_json, write_text
from control_envs.utils.optional import need
from control_envs.utils.tables import table
from control_envs.utils.types import Array

__all__ = ["Comparison", "ComparisonResult", "compare", "to_markdown", "write"]

PAIRED = ("reward_1.3", "cost_ratio", "success")
STATES = 500


@dataclass(frozen=True)
class Comparison:
    """The settings of a comparison: policies on one plant, in the nominal and in other scenarios.

    Attributes:
        system: the plant.
        policies: what is compared, beside the optimum.
        skipped: name of each skipped policy to the reason.
        pairs: names of policies whose paired differences are reported; by default each policy against the first.
        states: number of held-out initial states.
        seed: seed of the initial states and of all noise.
        scenarios: further scenarios, beside the nominal one.
        best_reward: also find the best reward from each initial state, under the default version (about 0.1 s per
            initial state, then cached).
        cache: read and write cached optima.
        progress: show progress bars.
    """

    system: System
    policies: Sequence[Policy]
    skipped: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[tuple[str, str]] | None = None
    states: int = STATES
    seed: int = 0
    scenarios: Sequence[Scenario] = ()
    best_reward: bool = False
    cache: bool = True
    progress: bool = True


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison.

    Attributes:
        results: the optimum's and each policy's, in the nominal scenario.
        x0: their initial states, shape (S, n).
        report: everything as plain JSON values.
    """

    results: list[Result]
    x0: Array
    report: dict[str, Any]


def compare(comparison: Comparison) -> ComparisonResult:
    """Evaluates every policy in every scenario."""
    system = comparison.system
    x0, results = _roll_out_all(comparison, NOMINAL)
    others = {s.name: _roll_out_all(comparison, s)[1] for s in comparison.scenarios}
    report = {
        "system": system.to_dict(),
        "states": {"split": "test", "seed": comparison.seed, "count": comparison.states},
        "with_optimum": int(np.isfinite(results[0].values["cost"]).sum()),
        "policies": to_dict(results),
        "skipped": dict(comparison.skipped),
        "paired": _paired(comparison, results),
        "scenarios": {name: to_dict(scenario_results) for name, scenario_results in others.items()},
    }
    return ComparisonResult(results, x0, report)


def _paired(comparison: Comparison, results: Sequence[Result]) -> list[dict[str, Any]]:
    """The differences of `Comparison.pairs`; by default every policy against the first."""
    by_name = {r.name: r for r in results[1:]}
    first, *later = by_name or [""]
    pairs = [(name, first) for name in later] if comparison.pairs is None else comparison.pairs
    return [paired_difference(by_name[a], by_name[b], measure) for a, b in pairs for measure in PAIRED]


def _roll_out_all(comparison: Comparison, scenario: Scenario) -> tuple[Array, list[Result]]:
    """Evaluates the optimal plan of the nominal plant, then every policy; J* is the optimum of the true plant."""
    x0 = scenario.initial_states(comparison.system, comparison.states, "test", comparison.seed)
    true_plant = scenario.true_plant(comparison.system)
    nominal = _optima(comparison, comparison.system, x0)
    reference = nominal if true_plant is comparison.system else _optima(comparison, true_plant, x0)
    best = None
    if comparison.best_reward and scenario is NOMINAL:
        with _bar(comparison, f"best rewards on {comparison.system.name}", len(x0)) as bar:
            best = best_rewards(comparison.system, x0, cache=comparison.cache, progress=bar.update, optima=nominal)
    results = [
        evaluate(policy, comparison.system, x0, reference.cost, scenario, comparison.seed, best, comparison.progress)
        for policy in (OptimalPlan(nominal), *comparison.policies)
    ]
    return x0, results


def _optima(comparison: Comparison, system: System, x0: Array) -> Optimum:
    with _bar(comparison, f"optima on {system.name}", len(x0)) as bar:
        return solve_all(system, x0, comparison.cache, bar.update)


def _bar(comparison: Comparison, title: str, total: int) -> Any:
    tqdm = need("tqdm.auto", "baselines").tqdm
    return tqdm(total=total, desc=title, disable=not comparison.progress, dynamic_ncols=True, leave=False)


# -- report --------------------------------------------------------------------------------------------------


def to_markdown(report: Mapping[str, Any], brief: bool = False) -> str:
    """The report of one plant as Markdown, without times, which differ from run to run.

    Args:
        report: as in `ComparisonResult`.
        brief: only the main table.
    """
    policies = report["policies"]
    columns = MAIN + ((REWARD_SHARE,) if any("reward_share" in p["measures"] for p in policies.values()) else ())
    parts = [
        f"## {report['system']['name']}",
        caption(report),
        policy_table(policies, columns, report["skipped"]),
    ]
    if brief:
        return "\n\n".join(parts) + "\n"
    parts.append(policy_table(policies, MORE))
    if report["paired"]:
        parts += ["Paired differences by initial state:", paired_table(report["paired"])]
    if report["scenarios"]:
        parts += [
            "Success % and J/J* of all trajectories, where J* is that of the true plant without noise:",
            _scenarios(report),
        ]
    return "\n\n".join(parts) + "\n"


def _scenarios(report: Mapping[str, Any]) -> str:
    scenarios, columns = {"nominal": report["policies"], **report["scenarios"]}, (SUCCESS, COST_RATIO)
    rows = [
        [name, *(column.cell(policies[name]) for policies in scenarios.values() for column in columns)]
        for name in report["policies"]
    ]
    return table(["policy", *(f"{name}: {title}" for name in scenarios for title in ("success %", "J/J*"))], rows)


def write(comparison: ComparisonResult, folder: Path) -> None:
    """Writes comparison_SYSTEM.json and comparison_SYSTEM.md to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = comparison.report["system"]["name"]
    write_json(folder / f"comparison_{name}.json", comparison.report)
    write_text(folder / f"comparison_{name}.md", to_markdown(comparison.report))
