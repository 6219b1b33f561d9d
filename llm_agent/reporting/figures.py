"""The figures of a run's page: many small ones, so that the page fits any screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from baselines.evaluation.results import Result
from baselines.figures.comparison import LEAST_REGRET, VIOLATED
from control_envs.rendering.drawing import (
    COLOURS,
    LINES,
    axis_label,
    draw_bounds,
    draw_box,
    draw_phase,
    draw_vector_field,
)
from control_envs.systems.base import System
from control_envs.utils.types import Array
from llm_agent.reporting.svg import svg
from llm_agent.storage.run_folder import RunFolder

CHANGES = 1e-3  # a reward term or share whose values differ by less counts as constant
PER_CELL = 5  # approximate number of trajectories in a cell of the cost map
NEAR = 0.3  # trajectories within this share of the bounds are drawn zoomed in, without the bounds
_DRAWN = COLOURS[:7]  # yellow is hard to see on white
_DASHES = {"-": "none", "--": "6 3", "-.": "8 3 2 3", ":": "2 3"}
# Training curves, by key of metrics.jsonl. Keys that a run did not log are left out.
CURVES = {
    "sft": {"loss": "SFT: loss", "mean_token_accuracy": "SFT: token accuracy"},
    "grpo": {
        "rewards/control/mean": "reward, mean",
        "control/success": "success, share of completions",
        "control/parsed": "completions with a plan, share",
        "held_out/greedy/success": "held out, greedy: success",
        "held_out/sampled/success": "held out, sampled: success",
        "control/cost": "cost J, mean",
        "control/final_error": "final error, mean",
        "entropy": "entropy of tokens",
        "kl": "KL from the start",
        "completions/mean_length": "tokens of a completion, mean",
        "completions/clipped_ratio": "completions cut off, share",
    },
}
GROUPS = {
    "groups/largest_advantage": "largest advantage of a group",
    "groups/without_signal": "groups without signal, share",
    "groups/without_plan": "groups without a plan, share",
}


def style(i: int) -> dict[str, Any]:
    """Colour and dashes of the i-th line; no two lines differ in colour alone."""
    return {"color": _DRAWN[i % len(_DRAWN)], "linestyle": LINES[i % len(LINES)]}


# -- training ------------------------------------------------------------------------------------------------


def curves(runs: Mapping[str, RunFolder], phase: str, titles: Mapping[str, str]) -> list[str]:
    """One figure for each quantity that any of the runs logged, with one line per run."""
    rows = {name: run.metrics(phase) for name, run in runs.items()}
    found = []
    for key, title in titles.items():
        lines = {name: series(logged, key) for name, logged in rows.items()}
        if any(len(steps) for steps, _ in lines.values()):
            found.append(svg(2.9, 1.9, partial(_curve, lines=lines, title=title), title, fixed=True))
    return found


def terms(runs: Mapping[str, RunFolder], prefix: str) -> tuple[list[str], dict[str, float]]:
    """A figure for each reward term (or its share of the variance) that changes, and the others' constant values."""
    keys = sorted({k for run in runs.values() for row in run.metrics("grpo") for k in row if k.startswith(prefix)})
    moving, constant = {}, {}
    for key in keys:
        values = np.concatenate([series(run.metrics("grpo"), key)[1] for run in runs.values()])
        if len(values) and np.ptp(values) > CHANGES:
            moving[key] = key.removeprefix(prefix).replace("_", " ")
        elif len(values):
            constant[key.removeprefix(prefix).replace("_", " ")] = float(values[0])

    return curves(runs, "grpo", moving), constant


def series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[Array, Array]:
    """Steps and values of one key, from the rows of metrics.jsonl that have it."""
    found = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    steps, values = np.array(found, dtype=float).reshape(-1, 2).T
    return steps, values


def smoothed(values: Array, window: int = 9) -> Array:
    """Centred running mean; the window shrinks at the ends."""
    window = min(window, len(values))
    kernel = np.ones(window)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def _curve(figure: Any, lines: Mapping[str, tuple[Array, Array]], title: str) -> None:
    axes = figure.subplots()
    for i, (name, (steps, values)) in enumerate(lines.items()):
        if len(lines) == 1 and len(values) > 20:
            axes.plot(steps, values, color=COLOURS[2], alpha=0.35, linewidth=0.8)
        many = len(values) > 20
        drawn = style(i) if len(lines) > 1 else {"color": COLOURS[2]}
        axes.plot(steps, smoothed(values) if many else values, **drawn, marker=None if many else ".", label=name)
    axes.locator_params(axis="x", integer=True)
    axes.set_title(title, fontsize=9)
    axes.grid(axis="y")


# -- trajectories -------------------------------------------------------------------------------------------------


def portraits(results: Sequence[Result], states: Sequence[int]) -> list[str]:
    """One phase portrait per policy, from the same initial states."""
    return [svg(3.0, 2.8, partial(_portrait, result=r, states=states), f"{r.name}: phase portrait") for r in results]


def _portrait(figure: Any, result: Result, states: Sequence[int]) -> None:
    axes, trajectories = figure.subplots(), result.trajectories
    system = trajectories.system
    rolled_out = [i for i in states if result.valid[i]]
    if system.n >= 2:
        draw_vector_field(axes, system, points=13)
        draw_box(axes, system)
        if rolled_out:
            draw_phase(axes, trajectories[rolled_out], COLOURS[2])
            _zoom(axes, np.abs(trajectories.x[rolled_out] / system.x_scale)[..., :2].max(), system)
        axes.set_xlabel(axis_label(system, 0))
        axes.set_ylabel(axis_label(system, 1))
    else:
        for i in rolled_out:
            axes.plot(trajectories.t, trajectories.x[i, :, 0], color=COLOURS[2])
        draw_bounds(axes, *system.x_bounds[0])
        axes.set_xlabel("time [s]")
        axes.set_ylabel(axis_label(system, 0))
    silent = len(states) - len(rolled_out)
    axes.set_title(result.name + (f" ({silent} without a plan)" if silent else ""), fontsize=9)


def _zoom(axes: Any, reach: float, system: System) -> None:
    if reach < NEAR:
        axes.set(xlim=1.2 * reach * system.x_bounds[0], ylim=1.2 * reach * system.x_bounds[1])


def courses(results: Sequence[Result], state: int) -> list[str]:
    """Each state and each control over time from one initial state, with one line per policy."""
    system = results[0].trajectories.system
    names = [axis_label(system, i) for i in range(system.n)] + list(system.control_names)
    return [
        svg(3.4, 2.2, partial(_course, results=results, state=state, i=i), f"{name} over time")
        for i, name in enumerate(names)
    ]


def _course(figure: Any, results: Sequence[Result], state: int, i: int) -> None:
    axes, system = figure.subplots(), results[0].trajectories.system
    for which, result in enumerate(results):
        trajectory, j = result.trajectories[state], i - system.n
        if not result.valid[state]:
            continue
        if j < 0:
            axes.plot(trajectory.t, trajectory.x[:, i], **style(which), label=result.name)
        else:
            axes.step(trajectory.t[:-1], trajectory.u[:, j], where="post", **style(which), label=result.name)
    bounds = system.x_bounds[i] if i < system.n else system.u_bounds[i - system.n]
    if np.abs(axes.dataLim.intervaly).max() > NEAR * np.abs(bounds).max():
        draw_bounds(axes, *bounds)
    else:
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlabel("time [s]")
    axes.set_title(axis_label(system, i) if i < system.n else system.control_names[i - system.n], fontsize=9)


# -- costs ---------------------------------------------------------------------------------------------------


def cost_maps(results: Sequence[Result], x0: Array) -> list[str]:
    """One map per policy: mean J/J* over a grid of the first two components of the initial state."""
    return [svg(3.0, 2.6, partial(_cost_map, result=r, x0=x0), f"{r.name}: cost over initial states") for r in results]


def _cost_map(figure: Any, result: Result, x0: Array) -> None:
    axes, system = figure.subplots(), result.trajectories.system
    edges, cells = grid(system, x0)
    regret = np.full((len(edges[1]) - 1, len(edges[0]) - 1), np.nan)
    problems = np.zeros_like(regret, dtype=bool)
    for column, row in {tuple(cell) for cell in cells.tolist()}:
        here = (cells == (column, row)).all(axis=1)
        ratios = result.values["cost_ratio"][here]
        if np.isfinite(ratios).any():
            regret[row, column] = np.log10(max(np.nanmean(ratios) - 1, LEAST_REGRET))
        problems[row, column] = (result.values["violated"][here] > 0).any() or not result.valid[here].all()
    drawn = axes.pcolormesh(*edges, regret, vmin=-4, vmax=0.5, cmap="cividis", edgecolor="face", linewidth=0.2)
    rows, columns = np.nonzero(problems)
    middles = [(edge[:-1] + edge[1:]) / 2 for edge in edges]
    axes.plot(middles[0][columns], middles[1][rows], "x", color=VIOLATED, markersize=5, markeredgewidth=1.6)
    bar = figure.colorbar(drawn, ax=axes, ticks=[-4, -3, -2, -1, 0], extend="both")
    bar.ax.set_yticklabels(["1.0001", "1.001", "1.01", "1.1", "2"], fontsize=8)
    axes.set_xlabel(axis_label(system, 0))
    if system.n >= 2:
        axes.set_ylabel(axis_label(system, 1))
    axes.set_title(result.name, fontsize=9)


def grid(system: System, x0: Array) -> tuple[list[Array], np.ndarray]:
    """Edges of a grid over the first two components of the initial states (S, n), and each one's cell (S, 2)."""
    count = int(np.clip(np.sqrt(len(x0) / PER_CELL), 3, 12))
    edges, cells = [], []
    for i in range(2):
        if i < system.n:
            low, high = system.x0_bounds[i]
            edges.append(np.linspace(low, high, count + 1))
            cells.append(np.clip(np.searchsorted(edges[i], x0[:, i], side="right") - 1, 0, count - 1))
        else:  # a plant with one state has one row
            edges.append(np.array([0.0, 1.0]))
            cells.append(np.zeros(len(x0), dtype=np.int64))
    return edges, np.stack(cells, axis=1)


def regrets(results: Sequence[Result]) -> str:
    """Cumulative distribution of the regret J/J* - 1 of each policy, over feasible trajectories."""
    return svg(3.4, 2.2, partial(_regrets, results=results), "Share of states by regret")


def _regrets(figure: Any, results: Sequence[Result]) -> None:
    axes = figure.subplots()
    for i, result in enumerate(results):
        ratio = result.values["cost_ratio_kept"]
        regret = np.sort(np.maximum(ratio[np.isfinite(ratio)] - 1.0, LEAST_REGRET))
        share = np.arange(1, len(regret) + 1) / len(ratio)
        axes.step(regret, share, where="post", **style(i), label=result.name)
    axes.set(xscale="log", xlim=(LEAST_REGRET, None), ylim=(0, 1.03), xlabel="regret J/J* - 1")
    axes.set_title("share of all states, bounds kept", fontsize=9)
    axes.grid()


def key(names: Sequence[str]) -> list[dict[str, Any]]:
    """The legend that several figures share: each name with the number of its colour and its dashes."""
    return [
        {"name": name, "line": COLOURS.index(style(i)["color"]), "dashes": _DASHES[style(i)["linestyle"]]}
        for i, name in enumerate(names)
    ]
