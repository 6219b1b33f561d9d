"""Results as Markdown tables, padded to be readable in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_envs.utils.tables import table

__all__ = [
    "COST_RATIO",
    "MAIN",
    "MORE",
    "REWARD_SHARE",
    "SUCCESS",
    "Column",
    "caption",
    "paired_table",
    "policy_table",
    "timing_table",
]


@dataclass(frozen=True)
class Column:
    """A column of a table: one metric's mean with its interval, or another statistic.

    Attributes:
        title: the column's header.
        measure: the metric, a key of `baselines.evaluation.results.Result.values`.
        statistic: "mean", "iqm" or "median".
        scale: factor of the printed values.
        decimals: of the printed values.
    """

    title: str
    measure: str
    statistic: str = "mean"
    scale: float = 1.0
    decimals: int = 3

    def cell(self, policy: Mapping[str, Any]) -> str:
        """The text of one policy's cell; "-" without a value."""
        measured = policy["measures"].get(self.measure)
        if measured is None or measured[self.statistic] is None:
            return "-"
        text = self._number(measured[self.statistic])
        low, high = measured["iqm_interval" if self.statistic == "iqm" else "interval"]
        if self.statistic == "median" or low == high:
            return text
        return f"{text} [{self._number(low)}, {self._number(high)}]"

    def _number(self, value: float) -> str:
        return f"{value * self.scale:.{self.decimals}f}"


SUCCESS = Column("success %", "success", scale=100, decimals=1)
COST_RATIO = Column("J/J* of all", "cost_ratio", decimals=4)
MAIN = (
    Column("parsed %", "answered", scale=100, decimals=1),
    SUCCESS,
    Column("violates bounds %", "violated", scale=100, decimals=1),
    Column("final error", "final_error"),
    COST_RATIO,
    Column("J/J*, feasible", "cost_ratio_kept", decimals=4),
    Column("IQM", "cost_ratio_kept", "iqm", decimals=4),
    Column("median", "cost_ratio_kept", "median", decimals=4),
    Column("reward 1.3", "reward_1.3", decimals=2),
)
REWARD_SHARE = Column("of best reward %", "reward_share", scale=100, decimals=1)
MORE = (
    Column("J mean", "cost", decimals=2),
    Column("effort", "effort"),
    Column("roughness", "roughness"),
    Column("settling time [s]", "settling_time", decimals=2),
    Column("reward 1.0", "reward_1.0", decimals=1),
    Column("reward 1.1", "reward_1.1", decimals=1),
    Column("reward 1.2", "reward_1.2", decimals=1),
)


def caption(report: Mapping[str, Any]) -> str:
    """The caption of a comparison's main table."""
    states = report["states"]
    return (
        f"{states['count']} held-out initial states ({states['split']} split, seed {states['seed']}); a feasible plan "
        f"exists for {report['with_optimum']} of them. Brackets: 95 % bootstrap intervals. A trajectory that violates "
        "the bounds can cost less than J*, so means over feasible trajectories are listed separately."
    )


def policy_table(
    summary: Mapping[str, Any], columns: Sequence[Column] = MAIN, skipped: Mapping[str, str] | None = None
) -> str:
    """One row per policy; a skipped policy has a row without numbers, and the reason below the table."""
    rows = [[name, *(column.cell(policy) for column in columns)] for name, policy in summary.items()]
    rows += [[name, "skipped", *("" for _ in columns[1:])] for name in skipped or {}]
    reasons = [f"\n\n{name} was skipped: {why}." for name, why in (skipped or {}).items()]
    return table(["policy", *(column.title for column in columns)], rows) + "".join(reasons)


def timing_table(summary: Mapping[str, Any]) -> str:
    """Time per decision and number of verdicts, one row per policy."""
    rows = []
    for name, policy in summary.items():
        seconds = policy["seconds_per_decision"]
        verdicts = ", ".join(f"{verdict} {count}" for verdict, count in policy["verdicts"].items())
        rows.append([name, "-" if seconds is None else f"{1e6 * seconds:.3g}", verdicts])
    return table(["policy", "time per decision [µs]", "verdicts"], rows)


def paired_table(differences: Iterable[Mapping[str, Any]]) -> str:
    """Paired differences, one row each; those without a value are left out."""
    rows = []
    for d in differences:
        if d["mean"] is None:
            continue
        low, high = d["interval"]
        rows.append(
            [
                " - ".join(d["policies"]),
                d["measure"],
                f"{d['mean']:+.4f} [{low:+.4f}, {high:+.4f}]",
                str(d["count"]),
            ]
        )
    return table(["difference", "measure", "mean [95 % interval]", "states"], rows)
