"""Compares policies on one plant from the same held-out initial states.

    python -m baselines.compare --system double_integrator --states 500
    python -m baselines.compare --system van_der_pol_hard --best-reward
    python -m baselines.compare --system van_der_pol --param mu=1.5 --process-noise 0.01 --reach 1.2

The optimum J* is always there, as the ruler. A policy that is skipped has a row that says why and is in no average.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from baselines.controllers.classical import MPCPolicy, finite_horizon_lqr_policy, lqr_policy
from baselines.controllers.policy import Policy
from baselines.controllers.ppo_policy import trained_policies
from baselines.evaluation.comparison import STATES, Comparison, compare, to_markdown, write
from baselines.evaluation.rollout import Scenario
from baselines.evaluation.tables import timing_table
from baselines.figures.comparison import draw_all
from control_envs import SYSTEMS, System
from control_envs.systems import get_systems
from control_envs.utils.commands import guarded
from control_envs.utils.moved import old_names

__getattr__ = old_names(
    __name__,
    {
        "Contest": "baselines.evaluation.Comparison",
        "Outcome": "baselines.evaluation.ComparisonResult",
        "hold": "baselines.evaluation.compare",
    },
)

CLASSICAL = ("lqr", "finite-horizon-lqr", "mpc", "ppo")


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
        for system in get_systems(args.system):
            policies, skipped = classical_policies(args, system)
            what = Comparison(
                system,
                [*policies, *more(system)],
                skipped,
                states=args.states,
                seed=args.seed,
                scenarios=scenarios_of(args),
                best_reward=args.best_reward,
                cache=not args.no_cache,
            )
            comparison = compare(what)
            write(comparison, args.output_dir)
            if not args.no_pictures:
                draw_all(comparison.results, comparison.x0, args.output_dir)
            print(to_markdown(comparison.report, args.brief))
            print(timing_table(comparison.report["policies"]) + "\n", file=sys.stderr)

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
