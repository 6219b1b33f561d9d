"""Evaluates language models on held-out initial states beside LQR and the optimum.

    python -m llm_agent.evaluate runs/latest
    python -m llm_agent.evaluate runs/A runs/B path/to/model --system van_der_pol --states 500

A run is evaluated in its own folder (SFT and GRPO, greedy and sampled); a model folder or hub id prints its table,
and writes it where --output-dir says. `python -m llm_agent.compare` sets them beside all classical policies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.evaluation.comparison import STATES
from control_envs import get_system
from control_envs.utils.commands import guarded
from llm_agent.evaluation.evaluate import evaluate_models, evaluate_policies, evaluate_run, write_reports
from llm_agent.evaluation.markdown import to_markdown
from llm_agent.evaluation.models import run_models
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.text_policies import BEST_OF, STRUCTURED
from llm_agent.reporting.finish import illustrate, try_to_report
from llm_agent.storage.run_folder import RunFolder, is_run


def _engine(args: argparse.Namespace) -> Any:
    if not args.use_vllm:
        return LLMPolicy
    from llm_agent.policies.vllm import VLLMPolicy

    return VLLMPolicy


def _options(args: argparse.Namespace) -> dict[str, Any]:
    return {"structured": args.structured, "best_of": args.best_of}


def _is_usual(args: argparse.Namespace) -> bool:
    """Whether a run is evaluated as its own evaluation is."""
    return not (args.structured or args.use_vllm or args.best_of)


def _reports_of(run: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    """A run's reports: evaluated in its folder, or with other ways of answering and then only shown."""
    if _is_usual(args):
        return evaluate_run(run, args.states, args.seed)
    comparisons = evaluate_models(run, run_models(run, _engine(args)), args.states, args.seed, **_options(args))
    return {name: comparison.report for name, comparison in comparisons.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["runs/latest"], help="run folders, model folders or hub ids")
    parser.add_argument("--system", default="double_integrator", help="plant for models that are not runs")
    parser.add_argument("--states", type=int, default=None, help=f"held-out initial states (default {STATES})")
    parser.add_argument("--seed", type=int, default=None, help="seed of the held-out states (default 0)")
    parser.add_argument("--output-dir", type=Path, default=None, help="where to write the report of other models")
    parser.add_argument("--structured", action="store_true", help=f"{STRUCTURED}; a run's own evaluation stays")
    parser.add_argument("--use-vllm", action="store_true", help="generate with vLLM; a run's own evaluation stays")
    parser.add_argument(
        "--best-of", type=int, default=None, metavar="N", help=f"{BEST_OF}; a run's own evaluation stays"
    )
    args = parser.parse_args(argv)
    for name in ("states", "best_of"):
        if (given := getattr(args, name)) is not None and given < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")

    def work() -> None:
        runs = [m for m in args.models if is_run(m)]
        for name in runs:
            for report in _reports_of(RunFolder.open(name), args).values():
                print(f"\n# {name}\n\n{to_markdown(report)}")
            if _is_usual(args):
                print(illustrate(RunFolder.open(name)), try_to_report(RunFolder.open(name)), sep="\n", file=sys.stderr)
        others = [m for m in args.models if m not in runs]
        if others:
            engine = _engine(args)
            policies = {name: engine.from_pretrained(name) for name in others}
            system = get_system(args.system)
            states, seed = args.states or STATES, args.seed or 0
            report = evaluate_policies(system, policies, states, seed, **_options(args)).report
            print(to_markdown(report))
            if args.output_dir:
                write_reports(args.output_dir, {system.name: report})

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
