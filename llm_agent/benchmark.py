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

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.optional import need
from llm_agent.benchmarking.suites import MODES, SUITES
from llm_agent.evaluation.models import add_engine_flags
from llm_agent.training.quiet import silence_known_warnings


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


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    args = _parser().parse_args(argv)

    def work() -> None:
        need("pydantic", "endpoint")
        from llm_agent.benchmarking.command import enter, join, submit

        silence_known_warnings()
        chosen = join if args.merge else submit if args.submit else enter
        chosen(args)

    return guarded(work, "stopped: what --output holds is kept, the same command goes on from there", extra="endpoint")


if __name__ == "__main__":
    sys.exit(main())
