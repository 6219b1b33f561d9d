"""Lists runs.

python -m llm_agent.runs
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from llm_agent.run_folder import RUNS, RunFolder, list_runs


def describe(run: RunFolder) -> list[str]:
    """One row: name, start, model, plants, seed, phases done, headline."""
    try:
        record, settings = run.record, run.settings
    except ValueError as error:
        return [run.path.name, str(error), "", "", "", "", ""]
    return [
        run.path.name,
        record["started"][:16].replace("T", " "),
        str(settings["model"]),
        ",".join(settings["systems"]),
        str(settings["seed"]),
        ">".join(record["phases"]) or "-",
        _headline(run),
    ]


def _headline(run: RunFolder) -> str:
    """The greedy success rate of the last model on each plant."""
    path = run.path / "evaluation.json"
    if not path.is_file():
        return "-"
    rates = []
    for report in json.loads(path.read_text()).values():
        greedy = [name for name in report["policies"] if name.endswith("greedy")]
        rates.append(f"{report['policies'][greedy[-1]]['measures']['success']['mean']:.1%}")
    return " ".join(rates)


def table(rows: list[list[str]]) -> str:
    """Rows of text in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m llm_agent.runs", description="Lists runs.")
    parser.add_argument("--root", type=Path, default=RUNS, help=f"folder of the runs (default {RUNS})")
    runs = list_runs(parser.parse_args(argv).root)
    if not runs:
        print("no runs yet: python -m llm_agent.train_grpo")
        return 0
    print(table([["run", "started", "model", "plants", "seed", "phases", "success"], *map(describe, runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
