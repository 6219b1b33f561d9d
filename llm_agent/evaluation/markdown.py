"""An evaluation's report as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines.evaluation.comparison import to_markdown as comparison_to_markdown
from control_envs.utils.tables import table

HEAD = [
    "policy",
    "stated gains",
    "reward 1.3",
    "rounded",
    "exact",
    "success %",
    "rounded",
    "exact",
]


def to_markdown(report: dict[str, Any]) -> str:
    """The report of one plant as Markdown."""
    text = comparison_to_markdown(report)
    stated = {name: gains for name, gains in report["stated_laws"].items() if gains and "rounded" in gains}
    if stated:
        lqr = ", ".join(f"{g:.1f}" for g in np.ravel(report["lqr_gains"]))
        text += (
            f"\nThe feedback gains that the reasoning states (LQR's are {lqr}), and what they would earn if the "
            "controls were computed from them exactly. Rounded: the plan is computed in full precision, then rounded "
            "to two decimals. Exact: each control is rounded before the next is computed.\n\n"
            f"{table(HEAD, [[name, *_gain_cells(gains)] for name, gains in stated.items()])}\n"
        )
    return text + _written_states(report) + _unparsed(report)


def _written_states(report: dict[str, Any]) -> str:
    """How exact the states are that reasoning writes, of each policy that writes any."""
    found = {name: errors for name, errors in report.get("written_states", {}).items() if errors}
    if not found:
        return ""
    head = ["policy", "trajectories", "exact %", *(f"error, {p} %" for p in next(iter(found.values()))["percentiles"])]
    rows = [
        [
            name,
            str(errors["count"]),
            ", ".join(f"{100 * share:.0f}" for share in errors["exact"]),
            *(", ".join(f"{e:.4f}" for e in values) for values in errors["percentiles"].values()),
        ]
        for name, errors in found.items()
    ]
    return (
        "\nThe states that the reasoning writes, each against the plant's step from the state and controls written "
        "before it: the share of steps without error and percentiles of the error, for each component of the state.\n\n"
        f"{table(head, rows)}\n"
    )


def _unparsed(report: dict[str, Any]) -> str:
    """One completion without a plan of each model that wrote any, with the counts of all verdicts."""
    parts = []
    for name, example in report.get("unparsed", {}).items():  # reports of version 0.1 have none
        verdicts = ", ".join(f"{verdict} {count}" for verdict, count in report["policies"][name]["verdicts"].items())
        parts.append(f"\n{name}, completions by verdict: {verdicts}. One that is {example['verdict']}:\n")
        parts.append("".join(f"\n    {line}" for line in example["completion"].splitlines() or [""]) + "\n")
    return "".join(parts)


def _gain_cells(stated: dict[str, Any]) -> list[str]:
    pairs = zip(np.ravel(stated["mean"]), np.ravel(stated["std"]), strict=True)
    earned = [stated[name] for name in ("written", "rounded", "exact")]
    return [
        ", ".join(f"{mean:.1f} ± {std:.1f}" for mean, std in pairs),
        *(f"{e['reward_1.3']:.2f}" for e in earned),
        *(f"{100 * e['success']:.1f}" for e in earned),
    ]
