"""Evaluates language models on held-out initial states, beside LQR and the optimum J*.

    python -m llm_agent.evaluate runs/latest
    python -m llm_agent.evaluate runs/A runs/B path/to/model --system van_der_pol --states 500
    python -m llm_agent.evaluate endpoint:MODEL --base-url http://127.0.0.1:8000/v1

A run is evaluated on its own plants, and the results go into its folder (SFT and GRPO, greedy and sampled). Model
folders and hub ids are evaluated on the plants of --system; their tables are printed, and written to --output-dir if it
is given. `python -m llm_agent.compare` compares models with all classical policies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.evaluation.comparison import STATES
from control_envs.systems import get_systems
from control_envs.systems.settings import add_settings_flag
from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.files import check_output_dir
from llm_agent.endpoints.flags import is_endpoint
from llm_agent.evaluation.evaluate import evaluate_models, evaluate_policies, evaluate_run, write_reports
from llm_agent.evaluation.markdown import to_markdown
from llm_agent.evaluation.models import (
    add_engine_flags,
    check_named_once,
    loader,
    refuse_flags_of_models,
    run_models,
    summarised,
)
from llm_agent.policies.text_policies import BEST_OF, STRUCTURED
from llm_agent.reporting.finish import illustrate, try_to_report
from llm_agent.storage.run_folder import RunFolder, is_run
from llm_agent.training.quiet import silence_known_warnings


def _options(args: argparse.Namespace) -> dict[str, Any]:
    return {"structured": args.structured, "best_of": args.best_of}


def _is_usual(args: argparse.Namespace) -> bool:
    """Whether a run is evaluated with the settings of its own evaluation, whose files are then replaced."""
    return not (args.structured or args.use_vllm or args.best_of or args.max_new_tokens)


def _reports_of(run: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    """A run's reports by plant; written to its folder only if `_is_usual`."""
    if _is_usual(args):
        return evaluate_run(run, args.states, args.seed)
    comparisons = evaluate_models(run, run_models(run, loader(args)), args.states, args.seed, **_options(args))
    return {name: comparison.report for name, comparison in comparisons.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.evaluate", description=__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        default=["runs/latest"],
        help="run folders, model folders, hub ids, or endpoint:MODEL for a served model",
    )
    parser.add_argument("--system", help="plants for models that are not runs, comma-separated, or all")
    add_settings_flag(parser)
    parser.add_argument("--states", type=at_least(1), default=None, help=f"held-out initial states (default {STATES})")
    parser.add_argument(
        "--seed", type=at_least(0), default=None, help="seed of the held-out initial states (default 0)"
    )
    parser.add_argument(
        "--output-dir", type=Path, default=None, help="folder for the tables of models that are not runs"
    )
    parser.add_argument("--structured", action="store_true", help=f"{STRUCTURED}; a run's own evaluation stays")
    parser.add_argument(
        "--best-of", type=at_least(1), default=None, metavar="N", help=f"{BEST_OF}; a run's own evaluation stays"
    )
    add_engine_flags(parser, "; a run's own evaluation stays")
    args = parser.parse_args(argv)

    def work() -> None:
        load = loader(args)
        systems = get_systems(args.system or "double_integrator", args.set)
        check_named_once(args.models)
        if args.output_dir:
            check_output_dir(args.output_dir)
        silence_known_warnings()
        runs = [m for m in args.models if is_run(m)]
        if runs == args.models:
            refuse_flags_of_models(args)
        for name in runs:
            run = RunFolder.open(name)
            for report in _reports_of(run, args).values():
                print(f"\n# {name}\n\n{to_markdown(report)}")
            if _is_usual(args):
                illustrate(run)
                print(try_to_report(run), file=sys.stderr)
        others = [m for m in args.models if m not in runs]
        if others:
            policies = {name: load(name) for name in others}
            states, seed = args.states or STATES, args.seed or 0
            reports = {}
            with summarised(policies):
                for system in systems:
                    report = evaluate_policies(system, policies, states, seed, **_options(args)).report
                    reports[system.name] = report
                    print(to_markdown(report))
            if args.output_dir:
                write_reports(args.output_dir, reports)

    served = all(map(is_endpoint, args.models))
    return guarded(work, extra="endpoint" if served else "llm")


if __name__ == "__main__":
    sys.exit(main())
