"""An evaluation's report as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines.evaluation.comparison import to_markdown as comparison_to_markdown
from control_envs.utils.tables import table


def to_markdown(report: dict[str, Any]) -> str:
    """The report of one plant as Markdown."""
    text = comparison_to_markdown(report)
    rows = [[name, *_gain_cells(law)] for name, law in report["stated_laws"].items() if law and "rounded" in law]
    if rows:
        gains = ", ".join(f"{g:.1f}" for g in np.ravel(report["lqr_gains"]))
        head = ["policy", "gains that it states", "reward 1.3", "rounded", "exact", "success %", "rounded", "exact"]
        text += (
            f"\nThe laws that the reasoning states (LQR's gains are {gains}), and what they would earn if the controls "
            "were computed from them exactly and rounded to two decimals: at the end, or each before the next is "
            f"computed.\n\n{table(head, rows)}\n"
        )
    return text


def _gain_cells(law: dict[str, Any]) -> list[str]:
    gains = ", ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(np.ravel(law["mean"]), np.ravel(law["std"]), strict=True))
    earned = [law[name] for name in ("written", "rounded", "exact")]
    return [gains, *(f"{e['reward_1.3']:.2f}" for e in earned), *(f"{100 * e['success']:.1f}" for e in earned)]
