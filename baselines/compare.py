"""Compares policies on one plant from the same held-out initial states.

    python -m baselines.compare --system double_integrator --states 500
    python -m baselines.compare --system van_der_pol_hard --best-reward
    python -m baselines.compare --system van_der_pol --param mu=1.5 --process-noise 0.01 --reach 1.2

The optimum J* is always there, as the ruler. A policy that is skipped has a row that says why and is in no average.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from baselines.best_reward import best_rewards
from baselines.commands import guarded, systems_named
from baselines.evaluation import Result, evaluate, paired_difference, to_dict
from baselines.files import write_json, write_text
from baselines.flying import NOMINAL, Scenario
from baselines.optimum import Optimum, solve_all
from baselines.policies import MPCPolicy, OptimalPlan, Policy, finite_horizon_lqr_policy, lqr_policy
from baselines.ppo_policy import trained_policies
from baselines.tables import (
    COST_RATIO,
    MAIN,
    MORE,
    REWARD_SHARE,
    SUCCESS,
    paired_table,
    policy_table,
    table,
    timing_table,
)
from control_envs import SYSTEMS, System
from control_envs._extras import need
from control_envs.systems.base import Array

CLASSICAL = ("lqr", "finite-horizon-lqr", "mpc", "ppo")
PAIRED = ("reward_1.3", "cost_ratio", "success")
STATES = 500


@dataclass(frozen=True)
class Contest:
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
class Outcome:
    """Nominal results, the states they are from, and the report of everything as plain values."""

    results: list[Result]
    x0: Array
    report: dict[str, Any]


def hold(contest: Contest) -> Outcome:
    """Flies every policy in every scenario."""
    system = contest.system
    x0, results = _fly_all(contest, NOMINAL)
    others = {s.name: _fly_all(contest, s)[1] for s in contest.scenarios}
    report = {
        "system": system.to_dict(),
        "states": {"split": "test", "seed": contest.seed, "count": contest.states},
        "with_optimum": int(np.isfinite(results[0].values["cost"]).sum()),
        "policies": to_dict(results),
        "skipped": dict(contest.skipped),
        "paired": _paired(contest, results),
        "scenarios": {name: to_dict(of_scenario) for name, of_scenario in others.items()},
    }
    return Outcome(results, x0, report)


def _paired(contest: Contest, results: Sequence[Result]) -> list[dict[str, Any]]:
    """The pairs asked for; by default every policy against the first."""
    by_name = {r.name: r for r in results[1:]}
    first, *later = by_name or [""]
    pairs = [(name, first) for name in later] if contest.pairs is None else contest.pairs
    return [paired_difference(by_name[a], by_name[b], measure) for a, b in pairs for measure in PAIRED]


def _fly_all(contest: Contest, scenario: Scenario) -> tuple[Array, list[Result]]:
    """The optimum of the plant as policies know it, then every policy; the ruler is the true plant's optimum."""
    x0 = scenario.initial_states(contest.system, contest.states, "test", contest.seed)
    true_plant = scenario.true_plant(contest.system)
    known = _optima(contest, contest.system, x0)
    ruler = known if true_plant is contest.system else _optima(contest, true_plant, x0)
    best = None
    if contest.best_reward and scenario is NOMINAL:
        with _bar(contest, f"best rewards on {contest.system.name}", len(x0)) as bar:
            best = best_rewards(contest.system, x0, cache=contest.cache, progress=bar.update, optima=known)
    results = [
        evaluate(policy, contest.system, x0, ruler.cost, scenario, contest.seed, best, contest.progress)
        for policy in (OptimalPlan(known), *contest.policies)
    ]
    return x0, results


def _optima(contest: Contest, system: System, x0: Array) -> Optimum:
    with _bar(contest, f"optima on {system.name}", len(x0)) as bar:
        return solve_all(system, x0, contest.cache, bar.update)


def _bar(contest: Contest, title: str, total: int) -> Any:
    tqdm = need("tqdm.auto", "baselines").tqdm
    return tqdm(total=total, desc=title, disable=not contest.progress, dynamic_ncols=True, leave=False)


# -- report --------------------------------------------------------------------------------------------------


def to_markdown(report: Mapping[str, Any], brief: bool = False) -> str:
    """The report of one plant, without what differs from run to run (times); ``brief`` is the main table alone."""
    states, policies = report["states"], report["policies"]
    columns = MAIN + ((REWARD_SHARE,) if any("reward_share" in p["measures"] for p in policies.values()) else ())
    parts = [
        f"## {report['system']['name']}",
        f"{states['count']} held-out initial states (split {states['split']}, seed {states['seed']}), from "
        f"{report['with_optimum']} of which a plan keeps the bounds; [95 % bootstrap intervals]. A flight that breaks "
        "the bounds can cost less than J*; means over those that keep them stand apart.",
        policy_table(policies, columns, report["skipped"]),
    ]
    if brief:
        return "\n\n".join(parts) + "\n"
    parts.append(policy_table(policies, MORE))
    if report["paired"]:
        parts += ["Paired by state:", paired_table(report["paired"])]
    if report["scenarios"]:
        parts += ["Success % and J/J* of all flights, J* being the true plant's without noise:", _scenarios(report)]
    return "\n\n".join(parts) + "\n"


def _scenarios(report: Mapping[str, Any]) -> str:
    settings = {"nominal": report["policies"], **report["scenarios"]}
    rows = [
        [name, *(cell for of in settings.values() for cell in (SUCCESS.cell(of[name]), COST_RATIO.cell(of[name])))]
        for name in report["policies"]
    ]
    return table(["policy", *(f"{name}: {what}" for name in settings for what in ("success %", "J/J*"))], rows)


def write(outcome: Outcome, folder: Path, pictures: bool = True) -> None:
    """Writes comparison_SYSTEM.json and .md, and pictures, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = outcome.report["system"]["name"]
    write_json(folder / f"comparison_{name}.json", outcome.report)
    write_text(folder / f"comparison_{name}.md", to_markdown(outcome.report))
    if pictures:
        from baselines.pictures import draw_all

        draw_all(outcome.results, outcome.x0, folder)


# -- command -------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that every comparison has."""
    parser.add_argument("--system", default="double_integrator", help=f"a plant, or all: {', '.join(SYSTEMS)}")
    parser.add_argument("--states", type=_positive, default=STATES, help=f"held-out initial states ({STATES})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the states and of all noise (0)")
    parser.add_argument(
        "--policies", default=",".join(CLASSICAL), help="classical policies, comma-separated (%(default)s)"
    )
    parser.add_argument("--skip-mpc", action="store_true", help="leave MPC out, and say so")
    parser.add_argument("--ppo-dir", type=Path, default=Path("runs/ppo"), help="trained PPO policies (%(default)s)")
    group = parser.add_argument_group("MPC")
    group.add_argument("--mpc-horizon", type=_positive, default=None, help="steps ahead (half the plant's horizon)")
    group.add_argument("--mpc-terminal", default="riccati", choices=("riccati", "task"), help="terminal cost")
    group.add_argument("--mpc-solver", default="auto", help="CasADi conic or nlpsol plugin (%(default)s)")
    group = parser.add_argument_group("robustness: each adds a scenario to the table")
    group.add_argument("--process-noise", type=float, default=0.0, metavar="STD", help="on states, scaled, each step")
    group.add_argument("--measurement-noise", type=float, default=0.0, metavar="STD", help="on states seen, scaled")
    group.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="the true plant's parameter, e.g. mu=1.5"
    )
    group.add_argument(
        "--reach", type=float, default=1.0, help="states from outside the usual box, up to this times it"
    )
    group = parser.add_argument_group("output")
    group.add_argument("--best-reward", action="store_true", help="also the share of the best 1.3 reward there is")
    group.add_argument("--output-dir", type=Path, default=Path("runs/compare"), help="folder to write (%(default)s)")
    group.add_argument("--no-pictures", action="store_true", help="tables only")
    group.add_argument("--brief", action="store_true", help="print the main table alone (files hold everything)")
    group.add_argument("--no-cache", action="store_true", help="neither read nor keep optima on disk")


def classical_policies(args: argparse.Namespace, system: System) -> tuple[list[Policy], dict[str, str]]:
    """The classical policies that the flags ask for, and why others are skipped."""
    wanted = [name.strip() for name in args.policies.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in CLASSICAL]
    if unknown:
        raise ValueError(f"there is no classical policy {unknown[0]!r}: choose from {', '.join(CLASSICAL)}")
    policies: list[Policy] = []
    skipped = {}
    if "lqr" in wanted:
        policies.append(lqr_policy(system))
    if "finite-horizon-lqr" in wanted:
        policies.append(finite_horizon_lqr_policy(system))
    if "mpc" in wanted and args.skip_mpc:
        skipped["MPC"] = "--skip-mpc"
    elif "mpc" in wanted:
        settings = {"horizon": args.mpc_horizon, "terminal": args.mpc_terminal, "solver": args.mpc_solver}
        policies.append(MPCPolicy(system, **settings))
    if "ppo" in wanted:
        trained = trained_policies(args.ppo_dir, system)
        policies += trained
        if not trained:
            skipped["PPO"] = f"train it with `python -m baselines.ppo --system {system.name}`"
    return policies, skipped


def scenarios_of(args: argparse.Namespace) -> list[Scenario]:
    """One scenario for each robustness flag that is set."""
    found = []
    if args.process_noise:
        found.append(Scenario(f"process noise {args.process_noise:g}", process_noise=args.process_noise))
    if args.measurement_noise:
        found.append(
            Scenario(f"measurement noise {args.measurement_noise:g}", measurement_noise=args.measurement_noise)
        )
    for text in args.param:
        name, _, value = text.partition("=")
        try:
            params = {name: float(value)}
        except ValueError:
            raise ValueError(f"--param {text!r} must read NAME=VALUE, such as mu=1.5") from None
        found.append(Scenario(f"true {text}", params=params))
    if args.reach != 1.0:
        found.append(Scenario(f"from outside, up to x{args.reach:g}", reach=args.reach))
    return found


def run(args: argparse.Namespace, more: Callable[[System], Sequence[Policy]] = lambda system: ()) -> int:
    """Holds and prints the comparison on every plant asked for, ``more`` giving further policies for each."""

    def work() -> None:
        for system in systems_named(args.system):
            policies, skipped = classical_policies(args, system)
            contest = Contest(
                system,
                [*policies, *more(system)],
                skipped,
                states=args.states,
                seed=args.seed,
                scenarios=scenarios_of(args),
                best_reward=args.best_reward,
                cache=not args.no_cache,
            )
            outcome = hold(contest)
            write(outcome, args.output_dir, not args.no_pictures)
            print(to_markdown(outcome.report, args.brief))
            print(timing_table(outcome.report["policies"]) + "\n", file=sys.stderr)

    return guarded(work, "stopped: optima that were finished are kept, nothing else is")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m baselines.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
