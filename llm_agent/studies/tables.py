"""The tables of a study, from the run folders of its variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from control_envs.utils.tables import table
from llm_agent.policies.text_policies import DECODINGS
from llm_agent.storage.run_folder import RunFolder

# Title, measure, statistic, factor, decimals.
COLUMNS = (
    ("success %", "success", "mean", 100, 1),
    ("J/J* mean", "cost_ratio", "mean", 1, 3),
    ("J/J* median", "cost_ratio", "median", 1, 3),
    ("reward 1.3", "reward_1.3", "mean", 1, 1),
)
GAINS = (("reward_1.3", 1), ("cost_ratio", -1), ("success", 1))
CONVERGED = 0.9  # share of the whole gain


def to_markdown(question: str, runs: Mapping[str, Sequence[Path]]) -> str:
    """The study's tables.

    Args:
        question: what the study asks.
        runs: for each variant, the folders of its finished runs.
    """
    found = {name: [RunFolder(folder) for folder in folders] for name, folders in runs.items() if folders}
    if not found:
        return f"{question}\n\nNo run is finished yet.\n"
    states = next(iter(next(iter(found.values()))[0].evaluation().values()))["states"]
    about = (
        f"{question} Held out: {states['count']} initial states ({states['split']} split). A cell is the mean over "
        "seeds, before and after GRPO where there was one; gains are paired by state, the mean over seeds [least, "
        "greatest]; the last column counts the seeds whose 95 % interval excludes zero on the good side, for reward, "
        "J/J* and success."
    )
    parts = [about, _quality(found)]
    if any(run.metrics("grpo") for group in found.values() for run in group):
        parts.append(DYNAMICS_ABOUT)
        parts.append(_dynamics(found))
    return "\n\n".join(parts) + "\n"


# -- how good ------------------------------------------------------------------------------------------------


def _quality(found: Mapping[str, Sequence[RunFolder]]) -> str:
    rows = []
    for name, group in found.items():
        systems = group[0].evaluation()
        for system in systems:
            reports = [run.evaluation()[system] for run in group]
            label = name if len(systems) == 1 else f"{name} on {system}"
            rows += [[label, how, str(len(group)), *_cells(reports, how)] for how in DECODINGS]
    titles = [column[0] for column in COLUMNS]
    return table(["variant", "decoding", "seeds", *titles, "gain in reward", "gain in J/J*", "seeds that gain"], rows)


def _cells(reports: Sequence[Mapping[str, Any]], how: str) -> list[str]:
    phases = [phase for phase in ("SFT", "GRPO") if f"{phase} {how}" in reports[0]["policies"]]
    cells = []
    for _, measure, statistic, factor, decimals in COLUMNS:
        values = [
            np.mean(
                [_number(report["policies"][f"{phase} {how}"]["measures"][measure][statistic]) for report in reports]
            )
            for phase in phases
        ]
        cells.append(" → ".join(f"{factor * value:.{decimals}f}" for value in values))
    differences = [_differences(report, how) for report in reports]
    if not differences[0]:
        return [*cells, "", "", ""]
    for measure, decimals in (("reward_1.3", 1), ("cost_ratio", 3)):
        means = [_number(d[measure]["mean"]) for d in differences]
        cells.append(f"{np.mean(means):+.{decimals}f} [{min(means):+.{decimals}f}, {max(means):+.{decimals}f}]")
    wins = [sum(_gained(d[measure], sign) for d in differences) for measure, sign in GAINS]
    return [*cells, " / ".join(f"{w} of {len(reports)}" for w in wins)]


def _differences(report: Mapping[str, Any], how: str) -> dict[str, Any]:
    pair = [f"GRPO {how}", f"SFT {how}"]
    return {d["measure"]: d for d in report["paired"] if d["policies"] == pair}


def _gained(difference: Mapping[str, Any], sign: int) -> bool:
    if difference["mean"] is None:
        return False
    return bool(difference["excludes_zero"]) and sign * difference["mean"] > 0


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


# -- how it learnt -------------------------------------------------------------------------------------------

DYNAMICS_ABOUT = (
    'While training, means over seeds: the step by which nine tenths of the training reward\'s gain were had ("-" '
    "where there was none); the least and greatest reward of any completion; the share of the groups' variance by "
    "reward function (control alone where the others have none) and by the control reward's own terms; the largest "
    "advantage of a group in standard deviations (one outlier among 16 would be 3.75); completions without a plan."
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
                " to ".join(_shown(_over(logs, f"groups/reward_{how.__name__}", how), 0) for how in (min, max)),
                _shares(logs, "variance_share_of_rewards/"),
                _shares(logs, "variance_share/"),
                _shown(_over(logs, "groups/largest_advantage", np.mean), 2),
                _shown(100 * (1 - _over(logs, "control/parsed", np.mean)), 1),
            ]
        )
    head = ["variant", "converged at", "rewards", "variance by reward", "variance by term", "largest", "no plan %"]
    return table(head, rows)


def _over(logs: Sequence[Sequence[Mapping[str, Any]]], key: str, how: Callable[[list[float]], Any]) -> float:
    values = [row[key] for rows in logs for row in rows if row.get(key) is not None]
    return float(how(values)) if values else float("nan")


def _shown(value: float, decimals: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"


def _shares(logs: Sequence[Sequence[Mapping[str, Any]]], prefix: str) -> str:
    """The shares that matter, in per cent, the greatest first."""
    names = {key for rows in logs for row in rows for key in row if key.startswith(prefix)}
    shares = {name.removeprefix(prefix): _over(logs, name, np.mean) for name in names}
    shown = sorted(((v, k) for k, v in shares.items() if abs(v) >= 0.02), reverse=True)
    return ", ".join(f"{name} {100 * value:.0f}" for value, name in shown)


def _steps_to_convergence(logs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    steps = [found for rows in logs if (found := steps_to_convergence([row["reward"] for row in rows])) is not None]
    return f"{np.mean(steps):.0f}" if steps else "-"


def steps_to_convergence(rewards: Sequence[float], window: int = 10) -> int | None:
    """The first step whose running mean has `CONVERGED` of the gain from the first window to the last; None if none."""
    if len(rewards) < 2 * window:
        return None
    means = np.convolve(rewards, np.ones(window) / window, "valid")
    gain = means[-1] - means[0]
    if gain <= 0:
        return None
    return int(np.argmax(means >= means[0] + CONVERGED * gain)) + window
