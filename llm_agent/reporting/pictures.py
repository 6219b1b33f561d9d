"""A run's pictures: training curves, and trajectories of SFT, GRPO and LQR from the same initial states."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from baselines.figures.comparison import draw_trajectories, new_figure
from llm_agent.evaluation.labels import GREEDY, PHASES
from llm_agent.evaluation.trajectories import FILE, read_trajectories
from llm_agent.reporting.figures import series, smoothed
from llm_agent.storage.run_folder import RunFolder

SHOWN = (*(f"{phase} {GREEDY}" for phase in PHASES), "LQR")
NOTICEABLE = 0.1  # terms that change by less, or never reach this share of the variance, are left out


def draw_run(run: RunFolder) -> None:
    """Writes all pictures of an evaluated run into its folder."""
    for system, report in run.evaluation().items():
        if (read := read_trajectories(run.path / FILE, report)) is not None:
            draw_trajectories([r for r in read[1] if r.name in SHOWN], run.path / f"trajectories_{system}.png")
    if run.metrics("grpo"):
        draw_training(run, run.path / "training.png")


def draw_training(run: RunFolder, path: Path) -> None:
    """Training curves: SFT's loss, then GRPO's reward, success, reward terms and groups."""
    sft, grpo = run.metrics("sft"), run.metrics("grpo")
    figure = new_figure(14, 5.6)
    axes = figure.subplots(2, 3).ravel()
    _curve(axes[0], sft, "loss", "#E69F00")
    axes[0].set(title="SFT: loss (on soft targets until nine tenths)", xlabel="SFT step")
    _curve(axes[1], grpo, "rewards/control/mean", "#0072B2", smooth=True)
    axes[1].set(title="GRPO: mean reward of a step's completions")
    for key, colour in (("control/success", "#009E73"), ("control/parsed", "#999999")):
        _curve(axes[2], grpo, key, colour, smooth=True, label=key.rpartition("/")[2])
    for decoding, colour in (("greedy", "#D55E00"), ("sampled", "#CC79A7")):
        _curve(axes[2], grpo, f"held_out/{decoding}/success", colour, label=f"held out, {decoding}")
    axes[2].set(title="GRPO: success and parsed, shares of completions", ylim=(-0.02, 1.02))
    _terms(axes[3], grpo, "reward_terms/", "GRPO: change of each reward term", from_start=True)
    _terms(axes[4], grpo, "variance_share/", "GRPO: each term's share of the groups' variance")
    _curve(axes[5], grpo, "groups/largest_advantage", "#0072B2", smooth=True, label="largest advantage of a group")
    _curve(axes[5], grpo, "groups/without_signal", "#D55E00", smooth=True, label="groups without signal")
    _curve(axes[5], grpo, "completions/clipped_ratio", "#999999", smooth=True, label="completions cut off")
    axes[5].set(title="GRPO: groups", ylim=(-0.05, None))
    for axis in axes[1:]:
        axis.set_xlabel("GRPO step")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="x-small", loc="best")
    figure.savefig(path)


def _terms(axes, rows, prefix: str, title: str, from_start: bool = False) -> None:
    """One smoothed line per reward term that changes noticeably: its value, or its change from the start."""
    for key in sorted({k for row in rows for k in row if k.startswith(prefix)}):
        steps, values = series(rows, key)
        if len(values):
            line = smoothed(values) - (smoothed(values)[0] if from_start else 0.0)
            if (np.ptp(line) if from_start else np.abs(line).max()) > NOTICEABLE:
                axes.plot(steps, line, label=key.removeprefix(prefix))
    axes.set(title=title)


def _curve(axes, rows, key: str, colour: str, smooth: bool = False, label: str | None = None) -> None:
    steps, values = series(rows, key)
    if not len(values):
        return
    axes.plot(steps, values, color=colour, alpha=0.35 if smooth else 1.0, linewidth=1, label=None if smooth else label)
    if smooth:
        axes.plot(steps, smoothed(values), color=colour, linewidth=2, label=label)
