"""Runs a search from the command's flags: opens the study and works on it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from control_envs.utils.files import check_output_dir
from control_envs.utils.optional import need

if TYPE_CHECKING:
    from optuna import Study

    from llm_agent.tuning.search import Trials

__all__ = ["JOURNAL", "OUTPUT", "PRUNERS", "search"]

OUTPUT = Path("runs/tune")
JOURNAL = "journal.log"
PRUNERS = ("median", "hyperband", "none")
NEEDS = {"grpo": (("torch", "llm"), ("trl", "llm")), "ppo": (("stable_baselines3", "ppo"), ("scipy", "baselines"))}


def search(args: argparse.Namespace) -> None:
    """Opens or creates the study, runs trials and prints the best.

    Raises:
        ValueError: a flag is invalid.
        ImportError: a package is not installed.
        OSError: a file cannot be read or written.
    """
    if args.timeout is not None and not args.timeout > 0:
        raise ValueError(f"--timeout must be positive, not {args.timeout:g}")
    for module, extra in (("optuna", "tune"), ("psutil", "tune"), ("yaml", "tune"), *NEEDS[args.kind]):
        need(module, extra)
    from llm_agent.tuning.search import Search, say

    trials = _trials(args)
    name = args.study or f"{args.kind}-{args.system.replace(',', '+')}"
    folder = check_output_dir(args.output_dir or OUTPUT / name)
    study = _study(args, trials, name, folder)
    say(f"study {name} in {args.storage or folder / JOURNAL}, trials in {folder}")
    work = Search(study, trials, args.trials, folder)
    try:
        work.run(args.timeout or math.inf)
    finally:
        work.report()


def _trials(args: argparse.Namespace) -> Trials:
    if args.kind == "grpo":
        from llm_agent.tuning.grpo import GRPOTrials

        return GRPOTrials(args)
    from llm_agent.tuning.ppo import PPOTrials

    return PPOTrials(args)


def _study(args: argparse.Namespace, trials: Trials, name: str, folder: Path) -> Study:
    """Creates or continues the study, see `llm_agent.tuning.study.open_study`."""
    import optuna

    from llm_agent.tuning.study import SamplerByTrial, make_pruner, open_study

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {key: str(entry) for key, entry in trials.space.items()}
    task = {"kind": args.kind, **trials.task, "space": space}
    taken = any(folder.glob("trial_*"))  # read before the study: other workers add a trial first, then its folder
    sampler, pruner = SamplerByTrial(args.seed), make_pruner(args.pruner, trials.length)
    study = open_study(name, args.storage or str(folder / JOURNAL), task, sampler, pruner)
    if taken and not study.get_trials(deepcopy=False):
        raise ValueError(f"{folder} holds trials of another study: choose another --output-dir or --study")
    folder.mkdir(parents=True, exist_ok=True)
    return study
