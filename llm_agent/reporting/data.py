"""The data of a run's page: every policy's results on one plant, and the initial states to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from baselines.controllers.policy import Policy
from baselines.controllers.ppo_policy import how_to_train, trained_policies
from baselines.evaluation.comparison import PAIRED
from baselines.evaluation.recorded import recorded_mpc
from baselines.evaluation.results import Result, evaluate, paired_difference, to_dict
from control_envs import System
from control_envs.utils.types import Array
from llm_agent.evaluation.labels import greedy_models, is_model
from llm_agent.evaluation.records import comparable
from llm_agent.evaluation.trajectories import FILE, read_trajectories, system_of
from llm_agent.storage.run_folder import RUNS, RunFolder

# Hand-picked initial states, as shares of the box. The page shows the held-out initial state nearest to each.
PICKED = ((0.9, 0.9), (0.9, -0.9), (-0.9, 0.9), (-0.9, -0.9), (0.5, 0.0), (0.0, 0.5))
WORST = 5


@dataclass(frozen=True)
class PlantData:
    """One plant of a page.

    Attributes:
        system: the plant.
        summary: each policy's summary, as in evaluation.json, plus baselines that the run itself did not evaluate.
        report: the (first) run's evaluation: initial states, paired differences, stated gains.
        skipped: policies left out, and why.
        models: names of the models in the tables, by run and phase.
        focus: the policy to highlight for each run: the greedy plans of its last model.
        paired: paired differences: as evaluated for one run; for several, each run's focus minus the first run's.
        x0: initial states (S, n); None if the run has no evaluation.parquet.
        results: all policies' results; empty if the run has no evaluation.parquet.
    """

    system: System
    summary: Mapping[str, Any]
    report: Mapping[str, Any]
    skipped: Mapping[str, str]
    models: Sequence[str]
    focus: Sequence[str]
    paired: Sequence[Mapping[str, Any]]
    x0: Array | None
    results: Sequence[Result]

    def named(self, names: Sequence[str]) -> list[Result]:
        """The results of the policies of these names, in this order; names without a result are skipped."""
        by_name = {r.name: r for r in self.results}
        return [by_name[name] for name in names if name in by_name]


def of_run(run: RunFolder) -> list[PlantData]:
    """A run's plants.

    Raises:
        ValueError: the run has not been evaluated yet.
    """
    return [_plant({run.path.name: run}, {run.path.name: report}) for report in run.evaluation().values()]


def of_runs(runs: Sequence[RunFolder]) -> list[PlantData]:
    """The plants that several runs share.

    Raises:
        ValueError: as for `llm_agent.evaluation.records.comparable`.
    """
    folders = {run.path.name: run for run in runs}
    return [_plant(folders, held) for held in comparable(runs).values()]


def _plant(runs: Mapping[str, RunFolder], reports: Mapping[str, Mapping[str, Any]]) -> PlantData:
    first = next(iter(reports.values()))
    system, several = system_of(first), len(reports) > 1
    models: dict[str, Any] = {}
    focus: list[str] = []
    results: list[Result] = []
    others: list[Result] = []
    x0: Array | None = None
    for run, report in reports.items():
        own = {name: f"{run} {name}" if several else name for name in report["policies"] if is_model(name)}
        models |= {label: report["policies"][name] for name, label in own.items()}
        focus += [own[name] for name in greedy_models(own)[-1:]]
        rolled_out = read_trajectories(runs[run].path / FILE, report)
        if rolled_out is not None:
            x0 = rolled_out[0]
            results += [replace(r, name=own[r.name]) for r in rolled_out[1] if r.name in own]
            others = others or [r for r in rolled_out[1] if r.name not in own]
    classical = {name: policy for name, policy in first["policies"].items() if not is_model(name)}
    optimum = {name: classical.pop(name) for name in list(classical)[:1]}
    more, skipped = _baselines(system, x0, others[0]) if x0 is not None else ([], {})
    return PlantData(
        system,
        {**optimum, **models, **classical, **to_dict(more)},
        first,
        {**first["skipped"], **skipped},
        list(models),
        focus,
        _paired(results, focus) if several else first["paired"],
        x0,
        [*others[:1], *results, *others[1:], *more],
    )


def _paired(results: Sequence[Result], focus: Sequence[str]) -> list[dict[str, Any]]:
    """Paired differences of each later run's last model and the first run's."""
    by_name = {r.name: r for r in results}
    found = [by_name[name] for name in focus if name in by_name]
    return [paired_difference(later, found[0], measure) for later in found[1:] for measure in PAIRED]


def _baselines(system: System, x0: Array, optimum: Result) -> tuple[list[Result], dict[str, str]]:
    """MPC, and PPO if it has been trained, from the same initial states."""
    policies: list[Policy] = [recorded_mpc(system, x0, progress=True), *trained_policies(RUNS / "ppo", system)]
    skipped = {} if len(policies) > 1 else {"PPO": how_to_train(system)}
    return [evaluate(policy, system, x0, optimum.values["cost"]) for policy in policies], skipped


# -- initial states to show ---------------------------------------------------------------------------------


def hand_picked(system: System, x0: Array) -> list[int]:
    """Indices of the initial states (S, n) nearest to the hand-picked ones, without repeats."""
    shares = np.zeros((len(PICKED), system.n))
    shares[:, : min(system.n, 2)] = np.array(PICKED)[:, : system.n]
    low, high = system.x0_bounds.T
    wanted = (low + high) / 2 + shares * (high - low) / 2
    distance = np.linalg.norm((wanted[:, None] - x0[None]) / (high - low), axis=-1)
    return list(dict.fromkeys(distance.argmin(axis=1).tolist()))


def worst(result: Result, count: int = WORST) -> list[int]:
    """Indices of a policy's worst initial states: those without a plan, then violations, then the highest J/J*."""
    ratio = np.nan_to_num(result.values["cost_ratio"], nan=-np.inf)
    order = np.lexsort((-ratio, -result.values["violated"], result.valid))
    return order[:count].tolist()
