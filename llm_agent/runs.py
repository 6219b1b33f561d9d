"""Lists, shows, compares and prunes runs, and pushes a run's model to the Hugging Face hub.

python -m llm_agent.runs                                   # the same as: list
python -m llm_agent.runs list --system van_der_pol --kind specialist
python -m llm_agent.runs show runs/latest
python -m llm_agent.runs compare runs/A runs/B
python -m llm_agent.runs prune --apply                     # without --apply: only prints what it would delete
python -m llm_agent.runs push runs/A me/my-model --apply   # without --apply: only prints the model card
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.utils.commands import Parser, guarded
from llm_agent.reporting.listing import KINDS, prune, show_comparison, show_list, show_one
from llm_agent.reporting.model_card import push
from llm_agent.storage.run_folder import RUNS, RunFolder


def parser() -> Parser:
    """The command's flags."""
    top = Parser(prog="python -m llm_agent.runs", description=__doc__)
    kinds = top.add_subparsers(dest="command", metavar="list|show|compare|prune|push", required=True)
    listing = kinds.add_parser("list", help="one line per run")
    listing.add_argument("--system", help="only runs on one of these plants, comma-separated, or all")
    listing.add_argument("--kind", choices=KINDS, help="only runs on one plant, or on several")
    pruning = kinds.add_parser("prune", help="delete checkpoints of finished phases, and runs without a finished phase")
    for command in (listing, pruning):
        command.add_argument("--root", type=Path, default=RUNS, help="folder of the runs (%(default)s)")
    kinds.add_parser("show", help="settings and results of a run").add_argument("run", nargs="?")
    kinds.add_parser("compare", help="runs side by side").add_argument("runs", nargs="+")
    pushing = kinds.add_parser("push", help="push a run's model to the Hugging Face hub, with a model card")
    pushing.add_argument("run")
    pushing.add_argument("repository", help="owner/name")
    pushing.add_argument("--public", action="store_true", help="make the repository public (default: private)")
    for command in (pruning, pushing):
        command.add_argument(
            "--apply", action="store_true", help="do it; without this flag, only print what would be done"
        )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("--") and words[0] != "--help"):  # flags without a command are those of list
        words.insert(0, "list")
    args = parser().parse_args(words)
    work = {
        "list": lambda: show_list(args.root, args.system, args.kind),
        "show": lambda: show_one(RunFolder.open(args.run)),
        "compare": lambda: show_comparison([RunFolder.open(run) for run in args.runs]),
        "prune": lambda: prune(args.root, args.apply),
        "push": lambda: push(RunFolder.open(args.run), args.repository, args.apply, args.public),
    }
    return guarded(work[args.command], extra="llm")


if __name__ == "__main__":
    sys.exit(main())
