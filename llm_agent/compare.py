"""Compares language models with the classical policies: the tables of `baselines.compare` with more rows.

python -m llm_agent.compare runs/latest
python -m llm_agent.compare runs/A path/to/model --system van_der_pol --sampled --process-noise 0.01
python -m llm_agent.compare runs/latest --replan-every 1 --states 100     # receding-horizon control
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache

from baselines import compare
from baselines.controllers.policy import Policy
from control_envs import System
from control_envs.utils.commands import Parser, at_least
from llm_agent.endpoints.flags import is_endpoint
from llm_agent.evaluation.models import (
    MODELS,
    Loader,
    add_engine_flags,
    check_named_once,
    load_policies,
    loader,
    refuse_twins,
    summarised,
)
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.text_policies import BEST_OF, DECODINGS, STRUCTURED, text_policies
from llm_agent.training.quiet import silence_known_warnings


def _load(names: Sequence[str], load: Loader) -> dict[str, LLMPolicy]:
    """The models to compare, by the names that tables give them.

    Raises:
        ValueError: a model is named twice, or two models have the same name in tables.
    """
    check_named_once(names)
    loaded: dict[str, LLMPolicy] = {}
    for name in names:
        for label, policy in load_policies(name, load).items():
            if label in loaded:
                raise ValueError(f"two models are called {label!r} in tables: rename one of their folders")
            loaded[label] = policy
    return loaded


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.compare", description=__doc__)
    parser.add_argument("models", nargs="*", default=["runs/latest"], help=MODELS)
    parser.add_argument("--sampled", action="store_true", help="sampled completions as well as greedy ones")
    parser.add_argument(
        "--replan-every", type=at_least(1), default=None, metavar="K", help="controls applied of each plan (all)"
    )
    parser.add_argument("--structured", action="store_true", help=STRUCTURED)
    parser.add_argument("--best-of", type=at_least(1), default=None, metavar="N", help=BEST_OF)
    add_engine_flags(parser)
    compare.add_arguments(parser)
    args = parser.parse_args(argv)
    if args.best_of is not None and args.replan_every is not None:
        parser.error("--best-of picks whole plans: leave --replan-every out")

    load = cache(lambda: loader(args))  # one loader for all plants, so that each model is loaded once
    asked: dict[str, LLMPolicy] = {}

    def models(system: System) -> list[Policy]:
        loaded = _load(args.models, load())
        asked.update(loaded)
        refuse_twins(system, loaded)
        decodings = DECODINGS if args.sampled else DECODINGS[:1]
        options = {"structured": args.structured, "best_of": args.best_of}
        return text_policies(system, loaded, decodings, args.seed, args.replan_every, **options)

    silence_known_warnings()
    with summarised(asked):
        return compare.run(args, models, "endpoint" if all(map(is_endpoint, args.models)) else "llm")


if __name__ == "__main__":
    sys.exit(main())
