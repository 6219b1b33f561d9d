"""Policies on one plant, compared from the same held-out initial states: results, report, tables."""

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

PAIRED = ("reward_1.3", "cost_ratio", "success")
STATES = 500


@dataclass(frozen=True)
class Comparison:
    """What is compared: policies on one plant from held-out states, nominally and in other scenarios.

    Attributes:
        skipped: policy name to why it is left out.
        pairs: names whose paired differences are reported; by default each policy against the first.
        seed: of the held-out states and of all noise.
        best_reward: find the best 1.3 reward from each state too (about a tenth of a second a state, then kept).
        cache: keep optima on disk.
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
    """Nominal results, the states they are from, and the report of everything as plain values."""

    results: list[Result]
    x0: Array
    report: dict[str, Any]


def compare(comparison: Comparison) -> ComparisonResult:
    """Flies every policy in every scenario."""
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
        "scenarios": {name: to_dict(of_scenario) for name, of_scenario in others.items()},
    }
    return ComparisonResult(results, x0, report)


def _paired(comparison: Comparison, results: Sequence[Result]) -> list[dict[str, Any]]:
    """The pairs asked for; by default every policy against the first."""
    by_name = {r.name: r for r in results[1:]}
    first, *later = by_name or [""]
    pairs = [(name, first) for name in later] if comparison.pairs is None else comparison.pairs
    return [paired_difference(by_name[a], by_name[b], measure) for a, b in pairs for measure in PAIRED]


def _roll_out_all(comparison: Comparison, scenario: Scenario) -> tuple[Array, list[Result]]:
    """The optimum of the plant as policies know it, then every policy; the ruler is the true plant's optimum."""
    x0 = scenario.initial_states(comparison.system, comparison.states, "test", comparison.seed)
    true_plant = scenario.true_plant(comparison.system)
    known = _optima(comparison, comparison.system, x0)
    reference = known if true_plant is comparison.system else _optima(comparison, true_plant, x0)
    best = None
    if comparison.best_reward and scenario is NOMINAL:
        with _bar(comparison, f"best rewards on {comparison.system.name}", len(x0)) as bar:
            best = best_rewards(comparison.system, x0, cache=comparison.cache, progress=bar.update, optima=known)
    results = [
        evaluate(policy, comparison.system, x0, reference.cost, scenario, comparison.seed, best, comparison.progress)
        for policy in (OptimalPlan(known), *comparison.policies)
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
    """The report of one plant, without what differs from run to run (times); ``brief`` is the main table alone."""
    states, policies = report["states"], report["policies"]
    columns = MAIN + ((REWARD_SHARE,) if any("reward_share" in p["measures"] for p in policies.values()) else ())
    parts = [
        f"## {report['system']['name']}",
        f"{states['count']} held-out initial states (split {states['split']}, seed {states['seed']}), from "
        f"{report['with_optimum']} of which a plan keeps the bounds; [95 % bootstrap intervals]. A trajectory that breaks "
        "the bounds can cost less than J*; means over those that keep them stand apart.",
        policy_table(policies, columns, report["skipped"]),
    ]
    if brief:
        return "\n\n".join(parts) + "\n"
    parts.append(policy_table(policies, MORE))
    if report["paired"]:
        parts += ["Paired by state:", paired_table(report["paired"])]
    if report["scenarios"]:
        parts += [
            "Success % and J/J* of all trajectories, J* being the true plant's without noise:",
            _scenarios(report),
        ]
    return "\n\n".join(parts) + "\n"


def _scenarios(report: Mapping[str, Any]) -> str:
    settings = {"nominal": report["policies"], **report["scenarios"]}
    rows = [
        [name, *(cell for of in settings.values() for cell in (SUCCESS.cell(of[name]), COST_RATIO.cell(of[name])))]
        for name in report["policies"]
    ]
    return table(["policy", *(f"{name}: {what}" for name in settings for what in ("success %", "J/J*"))], rows)


def write(comparison: ComparisonResult, folder: Path) -> None:
    """Writes comparison_SYSTEM.json and .md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = comparison.report["system"]["name"]
    write_json(folder / f"comparison_{name}.json", comparison.report)
    write_text(folder / f"comparison_{name}.md", to_markdown(comparison.report))
