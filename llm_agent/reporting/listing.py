"""Runs as text: a list, one run in detail, several side by side; and deleting what finished runs do not need."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from baselines.evaluation import tables
from control_envs.systems import get_systems
from control_envs.systems.settings import parse_name
from control_envs.utils.files import in_use
from llm_agent.evaluation.labels import greedy_models, is_model
from llm_agent.evaluation.records import comparable, evaluation_of
from llm_agent.storage.run_folder import LATEST, RunFolder, list_runs

KINDS = ("specialist", "universal")


def kind_of(run: RunFolder) -> str:
    """ "specialist" for a run on one plant, "universal" for a run on several."""
    return KINDS[len(run.settings["systems"]) > 1]


def success_of(run: RunFolder) -> str:
    """The last model's greedy success rate on each plant."""
    rates = []
    for report in evaluation_of(run).values():
        greedy = greedy_models(report["policies"])
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


def _plants_of(run: RunFolder) -> set[str]:
    """The names of a run's plants, with and without the settings that they state."""
    names = run.settings["systems"]
    return {*names, *(parse_name(name)[0] for name in names)}


def show_list(root: Path, system: str | None, kind: str | None) -> None:
    """Prints one row per run, then the damaged ones with the reason.

    Args:
        root: folder of the runs.
        system: only runs on one of these plants, with whatever settings; None for all runs.
        kind: one of `KINDS`; None for both.

    Raises:
        ValueError: there is no such plant.
    """
    wanted = None if system is None else {plant.name for plant in get_systems(system)}
    rows, damaged = [], []
    for run in list_runs(root):
        try:
            if (wanted is None or wanted & _plants_of(run)) and kind in (None, kind_of(run)):
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
    """Prints a run's command, settings and results."""
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


def show_comparison(runs: Sequence[RunFolder]) -> None:
    """Prints the metrics of several runs' models side by side, one table per plant.

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


def prunable(run: RunFolder) -> list[Path]:
    """What can be deleted: checkpoints of finished phases, and whole runs that finished no phase and are not in use."""
    phases = run.record["phases"]
    if not phases:
        return [] if in_use(run.path) else [run.path]
    return [path for phase in ("sft", "grpo") if phase in phases for path in run.path.glob(f"{phase}/checkpoint-*")]


def prune(root: Path, apply: bool) -> None:
    """Deletes what finished runs do not need; without ``apply`` only lists it."""
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
