"""The benchmark: one score from 0 to 100 for any policy, on fixed problems.

    python -m llm_agent.benchmark tiny-universal                       # every plant, open and closed loop
    python -m llm_agent.benchmark lqr mpc runs/latest --output result.json
    python -m llm_agent.benchmark endpoint:MODEL --base-url http://127.0.0.1:8000/v1
    python -m llm_agent.benchmark python:my_module:answer              # a function from prompts to completions
    python -m llm_agent.benchmark --merge a.json b.json --output both.json
    python -m llm_agent.benchmark --submit result.json                 # checks a result before it is sent in

The score is 100 times the mean of J*/J, the least possible cost over the plan's own, where a plan that does not bring
the plant to the origin within its bounds counts 0. The optimum scores 100, no control and random controls about 0.
Each finished part is written to --output at once; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from control_envs.systems import get_systems
from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.files import check_output_file
from control_envs.utils.optional import need
from llm_agent.benchmarking.suites import MODES, SUITES, Suite
from llm_agent.evaluation.models import add_engine_flags, check_named_once, loader, summarised


def _parser() -> Parser:
    parser = Parser(prog="python -m llm_agent.benchmark", description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        help="lqr, finite-horizon-lqr, mpc, ppo, zero, random, a run, model folder or hub id, endpoint:MODEL, "
        "or python:MODULE:FUNCTION",
    )
    parser.add_argument("--suite", default="all", help=f"problems: {', '.join(SUITES)} (%(default)s)")
    parser.add_argument("--system", default=None, help="only these plants of the suite, comma-separated")
    parser.add_argument("--modes", default=",".join(MODES), help="only these, comma-separated (%(default)s)")
    parser.add_argument("--prompts", default="bare", help="bare, criterion, example, comma-separated (%(default)s)")
    parser.add_argument("--states", type=at_least(1), default=None, help="only the first initial states: a quick look")
    parser.add_argument("--output", type=Path, default=None, metavar="FILE", help="result as JSON (printed alone)")
    parser.add_argument("--name", default=None, help="the policy's name in the result (that of the model)")
    parser.add_argument("--ppo-dir", type=Path, default=Path("runs/ppo"), help="trained PPO policies (%(default)s)")
    parser.add_argument("--merge", nargs="+", type=Path, metavar="FILE", help="join results into --output")
    parser.add_argument("--submit", type=Path, metavar="FILE", help="check that a result can enter the leaderboard")
    add_engine_flags(parser)
    return parser


def _merge(args: argparse.Namespace) -> None:
    from llm_agent.benchmarking.page import to_markdown
    from llm_agent.benchmarking.results import merged, read, write

    if args.output is None:
        raise ValueError("--merge needs --output FILE for the joined result")
    result = merged([read(file, "--merge") for file in args.merge])
    write(result, check_output_file(args.output, "--output"))
    print(to_markdown([result]))


def _submit(args: argparse.Namespace) -> None:
    from llm_agent.benchmarking.page import to_markdown
    from llm_agent.benchmarking.results import check_complete, read

    result = check_complete(read(args.submit, "--submit"))
    print(to_markdown([result]))
    print(f"{args.submit} can enter: copy it to benchmarks/results/ and send a pull request", file=sys.stderr)


def _run(args: argparse.Namespace) -> None:
    from llm_agent.benchmarking.entrants import entrants
    from llm_agent.benchmarking.page import to_markdown
    from llm_agent.benchmarking.results import new_result, read
    from llm_agent.benchmarking.run import run
    from llm_agent.training.quiet import silence_known_warnings

    if not args.models:
        raise ValueError("name what enters the benchmark, such as lqr or endpoint:MODEL (--help lists more)")
    check_named_once(args.models)
    suite = _suite(args.suite)
    systems = _chosen("--system", args.system, suite.systems)
    modes = _chosen("--modes", args.modes, MODES)
    prompts = _chosen("--prompts", args.prompts, ("bare", "criterion", "example"))
    if args.output:
        check_output_file(args.output, "--output")
    known = args.output is not None and args.output.exists()
    result = read(args.output, "--output") if known else new_result(suite)
    if (result.suite, result.suite_version) != (suite.name, suite.version):
        raise ValueError(f"--output {args.output} is of the suite {result.suite}: give another file")
    silence_known_warnings()
    entering = entrants(args.models, prompts, loader(args), args)
    if args.name:
        if len({entrant.policy for entrant in entering}) > 1:
            raise ValueError(f"--name {args.name} names one policy, and several enter: run them one by one")
        entering = [replace(entrant, policy=args.name) for entrant in entering]
    with summarised({e.policy: e.model for e in entering}):
        run(suite, entering, systems, modes, result, args.output, args.states)
    print(to_markdown([result]))


def _suite(name: str) -> Suite:
    if name not in SUITES:
        raise ValueError(f"--suite {name!r}: choose from {', '.join(SUITES)}")
    return SUITES[name]


def _chosen(flag: str, given: str | None, known: Sequence[str]) -> list:
    """The values of a flag, in the order of the suite."""
    names = list(known) if given is None else [part.strip() for part in given.split(",")]
    if flag == "--system" and given is not None:
        names = [system.name for system in get_systems(given)]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"{flag} {given!r}: choose from {', '.join(known)}")
    return [name for name in known if name in names]


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    args = _parser().parse_args(argv)

    def work() -> None:
        need("pydantic", "endpoint")
        if args.merge:
            _merge(args)
        elif args.submit:
            _submit(args)
        else:
            _run(args)

    return guarded(work, "stopped: what --output holds is kept, the same command goes on from there", extra="endpoint")


if __name__ == "__main__":
    sys.exit(main())
