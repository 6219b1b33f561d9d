"""Compares policies on one plant from the same held-out initial states.

    python -m baselines.compare --system double_integrator --states 500
    python -m baselines.compare --system van_der_pol_hard --best-reward
    python -m baselines.compare --system van_der_pol --param mu=1.5 --process-noise 0.01 --reach 1.2

The optimum J* is always included, as the reference. A skipped policy has a row without numbers and a line with the
reason.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from baselines.controllers.classical import CLASSICAL
from baselines.controllers.policy import Policy
from baselines.controllers.ppo_policy import how_to_train, trained_policies
from baselines.evaluation.comparison import STATES, Comparison, compare, to_markdown, write
from baselines.evaluation.rollout import Scenario
from baselines.evaluation.tables import timing_table
from baselines.figures.comparison import draw_all
from control_envs import SYSTEMS, System
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems import get_systems
from control_envs.systems.settings import add_settings_flag
from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.files import check_output_dir
from control_envs.utils.moved import old_names

__all__ = ["POLICIES", "add_arguments", "classical_policies", "main", "run", "scenarios_of"]

__getattr__ = old_names(
    __name__,
    {
        "Contest": "baselines.evaluation.Comparison",
        "Outcome": "baselines.evaluation.ComparisonResult",
        "hold": "baselines.evaluation.compare",
    },
)

POLICIES = (*CLASSICAL, "ppo")


def add_arguments(parser: Parser) -> None:
    """Adds the flags of a comparison."""
    parser.add_argument(
        "--system", default="double_integrator", help=f"plants, comma-separated, or all: {', '.join(SYSTEMS)}"
    )
    add_settings_flag(parser)
    parser.add_argument("--states", type=at_least(1), default=STATES, help=f"held-out initial states ({STATES})")
    parser.add_argument("--seed", type=at_least(0), default=0, help="seed of the initial states and of all noise (0)")
    parser.add_argument(
        "--policies", default=",".join(POLICIES), help="classical policies, comma-separated (%(default)s)"
    )
    parser.add_argument("--skip-mpc", action="store_true", help="skip MPC, with a note in the table")
    parser.add_argument(
        "--ppo-dir", type=Path, default=Path("runs/ppo"), help="folder of trained PPO policies (%(default)s)"
    )
    group = parser.add_argument_group("MPC")
    group.add_argument(
        "--mpc-horizon", type=at_least(1), default=None, help="prediction horizon in steps (half the plant's horizon)"
    )
    group.add_argument("--mpc-terminal", default="riccati", choices=("riccati", "task"), help="terminal cost")
    group.add_argument("--mpc-solver", default="auto", help="CasADi conic or nlpsol plugin (%(default)s)")
    group = parser.add_argument_group("robustness: each flag adds a scenario to the table")
    noise: dict[str, Any] = {"type": at_least(0, float), "default": 0.0, "metavar": "STD"}
    group.add_argument("--process-noise", **noise, help="added to each state, scaled")
    group.add_argument("--measurement-noise", **noise, help="added to each measured state, scaled")
    group.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the true plant, such as mu=1.5",
    )
    group.add_argument(
        "--reach",
        type=at_least(1, float),
        default=1.0,
        help="initial states outside the usual bounds, up to this multiple of them",
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--best-reward", action="store_true", help=f"add the share of the best possible reward {DEFAULT_VERSION}"
    )
    group.add_argument("--output-dir", type=Path, default=Path("runs/compare"), help="output folder (%(default)s)")
    group.add_argument("--no-pictures", action="store_true", help="write tables only")
    group.add_argument("--brief", action="store_true", help="print only the main table; the files hold everything")
    group.add_argument("--no-cache", action="store_true", help="neither read nor write cached optima")


def classical_policies(args: argparse.Namespace, system: System) -> tuple[list[Policy], dict[str, str]]:
    """The classical policies that the flags select, and the reason for each skipped one.

    Raises:
        ValueError: there is no such policy.
    """
    names = [name.strip() for name in args.policies.split(",") if name.strip()]
    unknown = [name for name in names if name not in POLICIES]
    if unknown:
        raise ValueError(f"there is no classical policy {unknown[0]!r}: choose from {', '.join(POLICIES)}")
    skipped = {}
    if "mpc" in names and args.skip_mpc:
        skipped["MPC"] = "--skip-mpc"
        names = [name for name in names if name != "mpc"]
    settings = {"mpc": {"horizon": args.mpc_horizon, "terminal": args.mpc_terminal, "solver": args.mpc_solver}}
    policies = [make(system, **settings.get(name, {})) for name, make in CLASSICAL.items() if name in names]
    if "ppo" in names:
        trained = trained_policies(args.ppo_dir, system)
        policies += trained
        if not trained:
            skipped["PPO"] = how_to_train(system)
    return policies, skipped


def scenarios_of(args: argparse.Namespace) -> list[Scenario]:
    """One scenario for each robustness flag that is set.

    Raises:
        ValueError: a parameter is not NAME=VALUE, or a number is out of range.
    """
    scenarios = []
    if args.process_noise:
        scenarios.append(Scenario(f"process noise {args.process_noise:g}", process_noise=args.process_noise))
    if args.measurement_noise:
        scenarios.append(
            Scenario(f"measurement noise {args.measurement_noise:g}", measurement_noise=args.measurement_noise)
        )
    for text in args.param:
        name, _, value = text.partition("=")
        try:
            params = {name: float(value)}
        except ValueError:
            raise ValueError(f"--param {text!r} must be NAME=VALUE, such as mu=1.5") from None
        scenarios.append(Scenario(f"true {text}", params=params))
    if args.reach != 1.0:
        scenarios.append(Scenario(f"from outside, up to x{args.reach:g}", reach=args.reach))
    return scenarios


def run(
    args: argparse.Namespace,
    more: Callable[[System], Sequence[Policy]] = lambda system: (),
    extra: str = "baselines",
) -> int:
    """Runs, writes and prints the comparison of each selected plant; returns the exit code.

    Args:
        args: as `add_arguments` defines them.
        more: further policies for a plant.
        extra: of the package that brings all the command needs.
    """

    def work() -> None:
        check_output_dir(args.output_dir)
        if args.ppo_dir.exists() and not args.ppo_dir.is_dir():
            raise ValueError(f"--ppo-dir {args.ppo_dir} is not a folder")
        systems, scenarios = get_systems(args.system, args.set), scenarios_of(args)
        for system in systems:
            for scenario in scenarios:  # what a plant does not have is refused before any work
                scenario.true_plant(system)
                scenario.initial_states(system, 1, seed=args.seed)
        classical = [classical_policies(args, system) for system in systems]
        for system, (policies, skipped) in zip(systems, classical, strict=True):
            comparison = Comparison(
                system,
                [*policies, *more(system)],
                skipped,
                states=args.states,
                seed=args.seed,
                scenarios=scenarios,
                best_reward=args.best_reward,
                cache=not args.no_cache,
            )
            result = compare(comparison)
            write(result, args.output_dir)
            if not args.no_pictures:
                draw_all(result.results, result.x0, args.output_dir)
            print(to_markdown(result.report, args.brief))
            print(timing_table(result.report["policies"]) + "\n", file=sys.stderr)

    return guarded(work, "stopped: finished optima are kept, all else is lost", extra=extra)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = Parser(prog="python -m baselines.compare", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
