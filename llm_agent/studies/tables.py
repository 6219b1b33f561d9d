"""The tables of a study, from the run folders of its variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from control_envs.utils.tables import table
from llm_agent.policies.text_policies import DECODINGS
from llm_agent.storage.run_folder import RunFolder

__all__ = ["steps_to_convergence", "to_markdown"]

# Title, measure, statistic, factor, decimals.
COLUMNS = (
    ("success %", "success", "mean", 100, 1),
    ("J/J* mean", "cost_ratio", "mean", 1, 3),
    ("J/J* median", "cost_ratio", "median", 1, 3),
    ("reward 1.3", "reward_1.3", "mean", 1, 1),
)
IMPROVEMENTS = (("reward_1.3", 1), ("cost_ratio", -1), ("success", 1))  # measure, sign of an improvement
CONVERGED = 0.9  # share of the total gain


def to_markdown(question: str, runs: Mapping[str, Sequence[Path]]) -> str:
    """The study's tables.

    Args:
        question: the study's question.
        runs: for each variant, the folders of its finished runs.
    """
    found = {name: [RunFolder(folder) for folder in folders] for name, folders in runs.items() if folders}
    if not found:
        return f"{question}\n\nNo run is finished yet.\n"
    states = next(iter(next(iter(found.values()))[0].evaluation().values()))["states"]
    about = (
        f"{question} {states['count']} held-out initial states ({states['split']} split). A cell is the mean over "
        "seeds, before → after GRPO if there was one. Gains are paired by initial state: mean over seeds [min, max]. "
        "The last column counts the seeds whose 95 % interval shows an improvement, for reward, J/J* and success."
    )
    parts = [about, _quality(found)]
    if any(run.metrics("grpo") for group in found.values() for run in group):
        parts.append(DYNAMICS_ABOUT)
        parts.append(_dynamics(found))
    return "\n\n".join(parts) + "\n"


# -- quality -------------------------------------------------------------------------------------------------


def _quality(found: Mapping[str, Sequence[RunFolder]]) -> str:
    rows = []
    for name, group in found.items():
        systems = group[0].evaluation()
        for system in systems:
            reports = [run.evaluation()[system] for run in group]
            label = name if len(systems) == 1 else f"{name} on {system}"
            rows += [[label, decoding, str(len(group)), *_cells(reports, decoding)] for decoding in DECODINGS]
    titles = [column[0] for column in COLUMNS]
    return table(["variant", "decoding", "seeds", *titles, "gain in reward", "gain in J/J*", "seeds that gain"], rows)


def _cells(reports: Sequence[Mapping[str, Any]], decoding: str) -> list[str]:
    phases = [phase for phase in ("SFT", "GRPO") if f"{phase} {decoding}" in reports[0]["policies"]]
    cells = []
    for _, measure, statistic, factor, decimals in COLUMNS:
        values = [
            np.mean(
                [
                    _number(report["policies"][f"{phase} {decoding}"]["measures"][measure][statistic])
                    for report in reports
                ]
            )
            for phase in phases
        ]
        cells.append(" → ".join(f"{factor * value:.{decimals}f}" for value in values))
    differences = [_differences(report, decoding) for report in reports]
    if not differences[0]:
        return [*cells, "", "", ""]
    for measure, decimals in (("reward_1.3", 1), ("cost_ratio", 3)):
        means = [_number(d[measure]["mean"]) for d in differences]
        cells.append(f"{np.mean(means):+.{decimals}f} [{min(means):+.{decimals}f}, {max(means):+.{decimals}f}]")
    wins = [sum(_improved(d[measure], sign) for d in differences) for measure, sign in IMPROVEMENTS]
    return [*cells, " / ".join(f"{w} of {len(reports)}" for w in wins)]


def _differences(report: Mapping[str, Any], decoding: str) -> dict[str, Any]:
    pair = [f"GRPO {decoding}", f"SFT {decoding}"]
    return {d["measure"]: d for d in report["paired"] if d["policies"] == pair}


def _improved(difference: Mapping[str, Any], sign: int) -> bool:
    if difference["mean"] is None:
        return False
    return bool(difference["excludes_zero"]) and sign * difference["mean"] > 0


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


# -- training -----------------------------------------------------------------------------------------------

DYNAMICS_ABOUT = (
    'During training, means over seeds: the step at which the training reward has reached nine tenths of its gain ("-" '
    "if it has none); the lowest and highest reward of any completion; each reward function's share of the variance "
    "within groups (only control if the others have none); each term's share of the control reward's variance; the "
    "largest advantage of a group in standard deviations (one outlier among 16: 3.75); completions without a plan."
)


def _dynamics(found: Mapping[str, Sequence[RunFolder]]) -> str:
    rows = []
    for name, group in found.items():
        logs = [[row for row in run.metrics("grpo") if "reward" in row] for run in group]
        if not all(logs):
            continue
        rows.append(
            [
                name,
                _steps_to_convergence(logs),
                " to ".join(_shown(_over(logs, f"groups/reward_{f.__name__}", f), 0) for f in (min, max)),
                _shares(logs, "variance_share_of_rewards/"),
                _shares(logs, "variance_share/"),
                _shown(_over(logs, "groups/largest_advantage", np.mean), 2),
                _shown(100 * (1 - _over(logs, "control/parsed", np.mean)), 1),
            ]
        )
    head = ["variant", "converged at", "rewards", "variance by reward", "variance by term", "largest", "no plan %"]
    return table(head, rows)


def _over(logs: Sequence[Sequence[Mapping[str, Any]]], key: str, statistic: Callable[[list[float]], Any]) -> float:
    values = [row[key] for rows in logs for row in rows if row.get(key) is not None]
    return float(statistic(values)) if values else float("nan")


def _shown(value: float, decimals: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"


def _shares(logs: Sequence[Sequence[Mapping[str, Any]]], prefix: str) -> str:
    """The shares of at least 2 %, in per cent, largest first."""
    names = {key for rows in logs for row in rows for key in row if key.startswith(prefix)}
    shares = {name.removeprefix(prefix): _over(logs, name, np.mean) for name in names}
    shown = sorted(((v, k) for k, v in shares.items() if abs(v) >= 0.02), reverse=True)
    return ", ".join(f"{name} {100 * value:.0f}" for value, name in shown)


def _steps_to_convergence(logs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    steps = [found for rows in logs if (found := steps_to_convergence([row["reward"] for row in rows])) is not None]
    return f"{np.mean(steps):.0f}" if steps else "-"


def steps_to_convergence(rewards: Sequence[float], window: int = 10) -> int | None:
    """The first step whose running mean reaches `CONVERGED` of the gain from the first window to the last, or None."""
    if len(rewards) < 2 * window:
        return None
    means = np.convolve(rewards, np.ones(window) / window, "valid")
    gain = means[-1] - means[0]
    if gain <= 0:
        return None
    return int(np.argmax(means >= means[0] + CONVERGED * gain)) + window
