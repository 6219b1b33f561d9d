"""The result of a run in a few sentences, and in a table that fits a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from baselines.evaluation.tables import COST_RATIO, SUCCESS, Column
from control_envs.utils.tables import table
from llm_agent.evaluation.labels import PHASES, Label, greedy_models

REWARD = Column("reward 1.3", "reward_1.3", decimals=1)
COLUMNS = (SUCCESS, replace(COST_RATIO, title="J/J*", decimals=3), REWARD)
SFT, GRPO = PHASES


def headline(report: Mapping[str, Any]) -> list[str]:
    """One plant's evaluation in sentences: what GRPO changed, the distance from LQR, and how many completions parsed.

    Args:
        report: the plant's, from evaluation.json.
    """
    policies = report["policies"]
    models = greedy_models(policies)
    last = Label.parse(models[-1]) if models else None
    if last is None:
        return []
    said = []
    if gain := _gain(report, last):
        low, high = gain["interval"]
        said.append(
            f"{last.phase} {'raised' if gain['mean'] >= 0 else 'lowered'} the reward of greedy plans by "
            f"{abs(gain['mean']):.1f} (95 % interval {low:+.1f} to {high:+.1f}), from {_change(report, REWARD)}, "
            f"and their success from {_change(report, SUCCESS)} %."
        )
    said.append(
        f"{last} earns {_mean(policies, str(last), REWARD)} where LQR earns {_mean(policies, 'LQR', REWARD)}; "
        f"its cost is {_mean(policies, str(last), COLUMNS[1])} times the optimum J*, "
        f"LQR's {_mean(policies, 'LQR', COLUMNS[1])} times."
    )
    return [*said, *_unparsed(policies)]


def _gain(report: Mapping[str, Any], last: Label) -> Mapping[str, Any] | None:
    """The paired difference in reward of the last model's greedy plans and SFT's."""
    pair = [str(last), str(Label(SFT, last.decoding))]
    found = [d for d in report["paired"] if d["policies"] == pair and d["measure"] == REWARD.measure]
    return found[0] if found and found[0]["mean"] is not None else None


def _change(report: Mapping[str, Any], column: Column) -> str:
    return " to ".join(_mean(report["policies"], f"{phase} greedy", column) for phase in PHASES)


def _mean(policies: Mapping[str, Any], name: str, column: Column) -> str:
    return column.cell(policies[name]).partition(" ")[0] if name in policies else "-"


def _unparsed(policies: Mapping[str, Any]) -> list[str]:
    """For each model with completions that hold no plan: its parse rate and the parser's verdicts."""
    said = []
    for name, policy in policies.items():
        failed = {v: count for v, count in policy["verdicts"].items() if v != "ok"}
        if Label.parse(name) and failed:
            share = policy["measures"]["answered"]["mean"]
            verdicts = ", ".join(f"{verdict} {count}" for verdict, count in failed.items())
            said.append(f"{name}: {100 * share:.1f} % of the completions parsed ({verdicts}).")
    return said


def short_table(report: Mapping[str, Any]) -> str:
    """One row per policy, at most 100 characters wide: success, J/J*, reward, and GRPO's paired gain over SFT."""
    gains = {
        d["policies"][0]: _signed(d)
        for d in report["paired"]
        if d["measure"] == REWARD.measure and d["mean"] is not None and _is_gain(d["policies"])
    }
    rows = [
        [name, *(_narrow(column, policy) for column in COLUMNS), gains.get(name, "")]
        for name, policy in report["policies"].items()
    ]
    head = ["policy", *(column.title for column in COLUMNS), "GRPO - SFT"]
    return table(head, rows[1:] + rows[:1])  # the optimum last, beside LQR


def _is_gain(pair: Sequence[str]) -> bool:
    later, first = map(Label.parse, pair)
    return bool(later and first and (later.phase, first.phase) == (GRPO, SFT))


def _narrow(column: Column, policy: Mapping[str, Any]) -> str:
    """The cell's text; success without its interval, to keep the table narrow."""
    cell = column.cell(policy)
    return cell.partition(" ")[0] if column is SUCCESS else cell


def _signed(difference: Mapping[str, Any]) -> str:
    low, high = difference["interval"]
    return f"{difference['mean']:+.1f} [{low:+.1f}, {high:+.1f}]"
