"""The leaderboard: results of the benchmark as a Markdown table and as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from control_envs.utils.optional import need
from control_envs.utils.tables import table
from llm_agent.benchmarking.checks import read
from llm_agent.benchmarking.results import merged
from llm_agent.benchmarking.schema import Cell, Entry, Result, interval_of
from llm_agent.benchmarking.suites import MODES, SUITES, Suite

__all__ = ["gathered", "to_html", "to_markdown"]

HEAD = ["policy", "kind", "prompt", "score", *MODES, "success %", "parsed %", "states"]


def gathered(folder: Path) -> list[Result]:
    """The results of a folder's JSON files, one for each suite.

    Raises:
        ValueError: there is no such folder, it holds no results, or two of them disagree.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of results")
    results = [read(file) for file in sorted(folder.glob("*.json"))]
    if not results:
        raise ValueError(f"{folder} holds no results (*.json)")
    return [merged(same) for name in SUITES if (same := [result for result in results if result.suite == name])]


def to_markdown(results: Iterable[Result]) -> str:
    """One table for each suite, best first; an entry that lacks a part has no score and comes last."""
    parts = []
    for result in results:
        suite = SUITES[result.suite]
        rows = [_cells_of(row) for row in _rows(suite, result.entries)]
        parts.append(f"## Suite {suite.name}, version {suite.version}\n\n{table(HEAD, rows)}\n")
    return "\n".join(parts)


def _cells_of(row: dict[str, Any]) -> list[str]:
    score = "-" if row["score"] is None else f"{row['score']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
    modes = ["-" if row["modes"][mode] is None else f"{row['modes'][mode]:.1f}" for mode in MODES]
    return [
        row["policy"],
        row["kind"],
        row["prompt"] or "-",
        score,
        *modes,
        f"{100 * row['success']:.1f}",
        f"{100 * row['parsed']:.1f}",
        str(row["states"]),
    ]


def to_html(results: Iterable[Result]) -> str:
    """The page: sortable, to be filtered by suite, plant and kind; it loads nothing."""
    jinja = need("jinja2", "endpoint")
    template = jinja.Environment(
        loader=jinja.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("leaderboard.html")
    suites = [
        {
            "name": result.suite,
            "version": result.suite_version,
            "systems": list(SUITES[result.suite].systems),
            "states": SUITES[result.suite].states,
            "rows": _rows(SUITES[result.suite], result.entries),
        }
        for result in results
    ]
    data = json.dumps({"suites": suites, "modes": list(MODES)}).replace("<", "\\u003c")
    return template.render(data=data, suites=suites)


def _rows(suite: Suite, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One object for each entry with cells, best first."""
    rows = [_row(suite, entry) for entry in entries if entry.cells]
    return sorted(rows, key=lambda row: (row["score"] is None, -(row["score"] or 0.0), row["policy"]))


def _row(suite: Suite, entry: Entry) -> dict[str, Any]:
    low, high = entry.interval()
    return {
        "policy": entry.policy,
        "kind": entry.kind,
        "prompt": entry.prompt,
        "score": entry.score(suite),
        "low": low,
        "high": high,
        "success": float(np.mean([cell.success for cell in entry.cells])),
        "parsed": float(np.mean([cell.parsed for cell in entry.cells])),
        "states": min(len(cell.per_state.success) for cell in entry.cells),
        "modes": {mode: _mean(entry, mode, suite) for mode in MODES},
        "cells": [_shown(cell) for cell in entry.cells],
        "tokens": sum(entry.tokens.values()) or None,
        "settings": ", ".join(f"{name} {value}" for name, value in entry.settings.items()),
    }


def _mean(entry: Entry, mode: str, suite: Suite) -> float | None:
    """The mean score of a mode; None while a plant is missing."""
    cells = [cell.score for cell in entry.cells if cell.mode == mode]
    return float(np.mean(cells)) if len(cells) == len(suite.systems) else None


def _shown(cell: Cell) -> dict[str, Any]:
    low, high = interval_of([cell])
    ratios = [ratio for ratio in cell.per_state.cost_ratio if ratio is not None]
    return {
        "system": cell.system,
        "mode": cell.mode,
        "score": cell.score,
        "low": low,
        "high": high,
        "success": cell.success,
        "parsed": cell.parsed,
        "cost_ratio": float(np.median(ratios)) if ratios else None,
        "verdicts": cell.verdicts,
    }
