"""What the command `llm_agent.benchmark` does with its flags; errors as for what it calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from control_envs.systems import get_systems
from control_envs.utils.files import check_output_file
from llm_agent.benchmarking.checks import check_complete, read
from llm_agent.benchmarking.entrants import entrants
from llm_agent.benchmarking.page import to_markdown
from llm_agent.benchmarking.prompts import PROMPTS
from llm_agent.benchmarking.results import merged, new_result, write
from llm_agent.benchmarking.run import run
from llm_agent.benchmarking.suites import MODES, SUITES, Suite
from llm_agent.evaluation.models import check_named_once, loader, summarised

__all__ = ["enter", "join", "submit"]


def join(args: argparse.Namespace) -> None:
    """Joins results into one (--merge)."""
    if args.output is None:
        raise ValueError("--merge needs --output FILE for the joined result")
    result = merged([read(file, "--merge") for file in args.merge])
    write(result, check_output_file(args.output, "--output"))
    print(to_markdown([result]))


def submit(args: argparse.Namespace) -> None:
    """Checks that a result can enter the leaderboard (--submit)."""
    result = check_complete(read(args.submit, "--submit"))
    print(to_markdown([result]))
    print(f"{args.submit} can enter: copy it to benchmarks/results/ and send a pull request", file=sys.stderr)


def enter(args: argparse.Namespace) -> None:
    """Runs the benchmark of the policies that are named."""
    if not args.models:
        raise ValueError("name what enters the benchmark, such as lqr or endpoint:MODEL (--help lists more)")
    check_named_once(args.models)
    suite = _suite(args.suite)
    systems = _chosen("--system", args.system, suite.systems)
    modes = _chosen("--modes", args.modes, MODES)
    prompts = _chosen("--prompts", args.prompts, PROMPTS)
    if args.output:
        check_output_file(args.output, "--output")
    known = args.output is not None and args.output.exists()
    result = read(args.output, "--output") if known else new_result(suite)
    if (result.suite, result.suite_version) != (suite.name, suite.version):
        raise ValueError(f"--output {args.output} is of the suite {result.suite}: give another file")
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
