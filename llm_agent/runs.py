"""The runs there are: list, show, compare, prune, and push to the hub.

python -m llm_agent.runs                                   # the same as: list
python -m llm_agent.runs list --system van_der_pol --kind specialist
python -m llm_agent.runs show runs/latest
python -m llm_agent.runs compare runs/A runs/B
python -m llm_agent.runs prune --apply                     # without --apply it says what it would delete
python -m llm_agent.runs push runs/A me/my-model --apply   # without --apply it shows the model card
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines import tables
from baselines.commands import guarded
from baselines.files import in_use
from llm_agent.model_card import push
from llm_agent.run_folder import EVALUATION, LATEST, RUNS, RunFolder, list_runs

KINDS = ("specialist", "universal")


def kind_of(run: RunFolder) -> str:
    """Whether a run is of one plant or of several."""
    return KINDS[len(run.settings["systems"]) > 1]


def evaluation_of(run: RunFolder) -> dict[str, Any]:
    """A run's reports by plant; empty before it is evaluated."""
    return run.evaluation() if (run.path / EVALUATION).is_file() else {}


def success_of(run: RunFolder) -> str:
    """The greedy success rate of the last model on each plant."""
    rates = []
    for report in evaluation_of(run).values():
        greedy = [name for name in report["policies"] if name.endswith("greedy")]
        rates.append(f"{report['policies'][greedy[-1]]['measures']['success']['mean']:.1%}")
    return " ".join(rates) or "-"


def row_of(run: RunFolder) -> list[str]:
    """One row of the list."""
    record, settings = run.record, run.settings
    return [
        run.path.name,
        record["started"][:16].replace("T", " "),
        str(settings["model"]),
        ",".join(settings["systems"]),
        kind_of(run),
        str(settings["seed"]),
        ">".join(record["phases"]) or "-",
        success_of(run),
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


# -- the commands --------------------------------------------------------------------------------------------


def show_list(root: Path, system: str | None, kind: str | None) -> None:
    """Prints a row for each run; a damaged one is named after them."""
    rows, damaged = [], []
    for run in list_runs(root):
        try:
            if system in (None, *run.settings["systems"]) and kind in (None, kind_of(run)):
                rows.append(row_of(run))
        except (ValueError, KeyError) as error:
            damaged.append(f"{run.path.name}: {error}")
    head = ["run", "started", "model", "plants", "kind", "seed", "phases", "success"]
    if rows:
        print(aligned([head, *rows]))
    elif not damaged:
        print("no such run" if system or kind else "no runs yet: python -m llm_agent.train_grpo")
    print(*damaged, sep="\n", end="\n" if damaged else "")


def show_one(run: RunFolder) -> None:
    """Prints what made a run and what came of it."""
    record = run.record
    took = ", ".join(f"{phase} {done['seconds']:.0f} s" for phase, done in record["phases"].items())
    facts = {
        "folder": run.path,
        "command": record["command"],
        "started": record["started"],
        "commit": record["commit"],
        "plants": f"{', '.join(run.settings['systems'])} ({kind_of(run)})",
        "phases": took or "none is done",
        "machine": ", ".join(f"{name} {value}" for name, value in record["machine"].items()),
        "versions": ", ".join(f"{name} {value}" for name, value in record["versions"].items()),
    }
    print(aligned([[name, str(value)] for name, value in facts.items()]))
    for report in evaluation_of(run).values():
        print(f"\n{report['system']['name']}, {report['states']['count']} held-out states\n")
        print(tables.policy_table(report["policies"], tables.MAIN))


def comparable(runs: Sequence[RunFolder]) -> dict[str, dict[str, dict[str, Any]]]:
    """The reports of each plant that several of the runs share, by the runs' names.

    Raises:
        ValueError: no plant is common to two of them, they were evaluated from different states, or two have one name.
    """
    reports = {run.path.name: evaluation_of(run) for run in runs}
    if len(reports) < len(runs):
        raise ValueError("two of these runs have the same name: rename a folder, or name each run once")
    plants = list(dict.fromkeys(plant for report in reports.values() for plant in report))
    shared = [plant for plant in plants if sum(plant in report for report in reports.values()) > 1]
    if not shared:
        raise ValueError("there is nothing to compare: no two of these runs are evaluated on the same plant")
    found = {}
    for plant in shared:
        held = {run: report[plant] for run, report in reports.items() if plant in report}
        if len({json.dumps(report["states"], sort_keys=True) for report in held.values()}) > 1:
            raise ValueError(f"{plant}: the runs were evaluated from different states; evaluate them again alike")
        found[plant] = held
    return found


def show_comparison(runs: Sequence[RunFolder]) -> None:
    """Prints the measures of several runs' models side by side, a table for each plant.

    Raises:
        ValueError: as for `comparable`.
    """
    for plant, held in comparable(runs).items():
        policies = {
            f"{run} {name}": policy
            for run, report in held.items()
            for name, policy in report["policies"].items()
            if is_model(name)
        }
        print(f"{plant}, {next(iter(held.values()))['states']['count']} held-out states\n")
        print(tables.policy_table(policies, tables.MAIN) + "\n")


def is_model(policy: str) -> bool:
    """Whether a row of a run's evaluation is one of the run's own models."""
    return policy.startswith(("SFT ", "GRPO "))


def prunable(run: RunFolder) -> list[Path]:
    """What a run can do without: checkpoints of phases that are done; all of it where no phase is and none at work."""
    phases = run.record["phases"]
    if not phases:
        return [] if in_use(run.path) else [run.path]
    return [path for phase in ("sft", "grpo") if phase in phases for path in run.path.glob(f"{phase}/checkpoint-*")]


def prune(root: Path, apply: bool) -> None:
    """Deletes what runs can do without, or says what that is."""
    found = [path for run in list_runs(root) for path in prunable(run)]
    for path in found:
        size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 1e6
        print(f"{'deleted' if apply else 'would delete'} {path} ({size:.1f} MB)")
        if apply:
            shutil.rmtree(path)
    link = root / LATEST
    if link.is_symlink() and not link.exists():
        link.unlink()
    if not found:
        print("nothing to delete")
    elif not apply:
        print("delete them with --apply")


# -- the command line ----------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    top = argparse.ArgumentParser(
        prog="python -m llm_agent.runs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = top.add_subparsers(dest="command", metavar="list|show|compare|prune|push", required=True)
    listing = kinds.add_parser("list", help="one line a run")
    listing.add_argument("--system", help="only runs on this plant")
    listing.add_argument("--kind", choices=KINDS, help="only runs of one plant, or of several")
    pruning = kinds.add_parser("prune", help="delete checkpoints of finished phases, and runs without any")
    for command in (listing, pruning):
        command.add_argument("--root", type=Path, default=RUNS, help="folder of the runs (%(default)s)")
    kinds.add_parser("show", help="what made a run, and what came of it").add_argument("run", nargs="?")
    kinds.add_parser("compare", help="runs side by side").add_argument("runs", nargs="+")
    pushing = kinds.add_parser("push", help="a run's model to the Hugging Face hub, with a model card")
    pushing.add_argument("run")
    pushing.add_argument("repository", help="owner/name")
    pushing.add_argument("--public", action="store_true", help="for all to see (private)")
    for command in (pruning, pushing):
        command.add_argument("--apply", action="store_true", help="do it (without, it only says what it would do)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("--") and words[0] != "--help"):  # flags of the list
        words.insert(0, "list")
    args = parser().parse_args(words)
    work = {
        "list": lambda: show_list(args.root, args.system, args.kind),
        "show": lambda: show_one(RunFolder.open(args.run)),
        "compare": lambda: show_comparison([RunFolder.open(run) for run in args.runs]),
        "prune": lambda: prune(args.root, args.apply),
        "push": lambda: push(RunFolder.open(args.run), args.repository, args.apply, args.public),
    }
    return guarded(work[args.command])


if __name__ == "__main__":
    sys.exit(main())
