"""Hyperparameter search with Optuna: GRPO from an SFT run, or PPO, judged on validation initial states.

    python -m llm_agent.tune grpo --sft-from runs/latest --trials 30
    python -m llm_agent.tune ppo --system van_der_pol_hard --trials 50

Run the same command in more processes, or on more machines that share the storage, to work on the same study, and
after a kill to continue it. Its best settings are in best.yaml, for `train_grpo --config` or `baselines.ppo --config`.
The test split is never used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from control_envs import SYSTEMS
from control_envs.rewards import DEFAULT_VERSION
from control_envs.utils.commands import Parser, at_least, guarded
from llm_agent.tuning.command import JOURNAL, OUTPUT, PRUNERS, search
from llm_agent.tuning.spaces import described


def parser() -> Parser:
    """The command's flags."""
    shared = Parser(add_help=False)
    shared.add_argument(
        "--trials", type=at_least(1), default=50, help="number of finished or pruned trials (%(default)s)"
    )
    shared.add_argument("--timeout", type=float, default=None, help="seconds after which no new trial starts")
    shared.add_argument(
        "--steps", type=at_least(1), default=None, help="training steps of a trial (default: the preset's)"
    )
    shared.add_argument(
        "--states", type=at_least(1), default=200, help="validation initial states per trial (%(default)s)"
    )
    shared.add_argument(
        "--seed", type=at_least(0), default=0, help="of the search, the trainings and initial states (%(default)s)"
    )
    shared.add_argument("--pruner", choices=PRUNERS, default="median", help="%(default)s")
    shared.add_argument("--space", type=Path, help="YAML with changes to the search space, see below")
    shared.add_argument("--study", help="the study's name (KIND-SYSTEM)")
    shared.add_argument("--storage", help=f"a journal file ({OUTPUT}/STUDY/{JOURNAL}), NAME.db, or a database's URL")
    shared.add_argument("--output-dir", type=Path, help=f"folder for trials and best.yaml ({OUTPUT}/STUDY)")
    top = Parser(prog="python -m llm_agent.tune", description=__doc__)
    kinds = top.add_subparsers(dest="kind", required=True, metavar="grpo|ppo")
    grpo = _kind(kinds, "grpo", shared, {"the embedded model": "tiny_grpo", "other models": "grpo"})
    grpo.add_argument("--sft-from", required=True, help="the run or model that every trial starts from")
    grpo.add_argument("--system", default="double_integrator", help="plants, comma-separated, or all (%(default)s)")
    grpo.add_argument("--reward-version", default=DEFAULT_VERSION, help="for training and evaluation (%(default)s)")
    grpo.add_argument("--greedy", action="store_true", help="evaluate greedy instead of sampled completions")
    grpo.add_argument("--keep-models", action="store_true", help="keep every trial's models")
    ppo = _kind(kinds, "ppo", shared, {"PPO": "ppo"})
    ppo.add_argument("--system", default="double_integrator", help=f"a plant: {', '.join(SYSTEMS)} (%(default)s)")
    return top


def _kind(kinds: Any, name: str, shared: Parser, spaces: dict[str, str]) -> Parser:
    tables = [f"search space, {title}:\n{described(key)}" for title, key in spaces.items()]
    example = (
        "--space changes it:\n"
        "  learning_rate: {low: 1.0e-4, high: 1.0e-3, log: true}   # a range; integers if both ends are\n"
        "  NAME: [8, 16]                                           # one of these\n"
        "  NAME: 0.2                                               # fixed\n"
        "  NAME: null                                              # not searched, keeps its default"
    )
    return kinds.add_parser(
        name,
        parents=[shared],
        epilog="\n\n".join([*tables, example]),
        help={"grpo": "GRPO from an SFT run", "ppo": "PPO"}[name],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    args = parser().parse_args(argv)
    return guarded(lambda: search(args), "stopped: run the same command to continue the study", extra="tune")


if __name__ == "__main__":
    sys.exit(main())
