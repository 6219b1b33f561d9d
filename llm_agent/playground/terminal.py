"""`llm_agent.play` in the terminal: the text as it is generated, a table, and a plot of characters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from control_envs import System, sample_states
from control_envs.envs import parse_state
from control_envs.utils.commands import CommandError
from control_envs.utils.tables import table
from control_envs.utils.types import Array
from llm_agent.playground.session import Problem, Session

__all__ = ["play", "plot", "run"]

MARKS = "*lm"  # model, LQR, MPC; the model's mark is drawn last and hides the others where they agree
ROWS, COLUMNS = 9, 72


def play(session: Session, system: System, x0: Array | None, greedy: bool, seed: int) -> None:
    """Runs the model from x0 (n,); without x0, from a held-out initial state and then from each one typed in.

    Args:
        greedy: greedy decoding; otherwise answers are sampled.
        seed: the seed of sampling and of the held-out initial state.

    Raises:
        ValueError: x0 or the seed is invalid.
        CommandError: the model cannot be loaded or used for this plant.
    """
    if x0 is not None:
        run(session, Problem(system, tuple(x0), greedy, seed))
        return
    run(session, Problem(system, tuple(sample_states(system, 1, "test", seed)[0]), greedy, seed))
    for line in _read_lines(f"\nanother state ({', '.join(system.state_names)}), or Enter to end: "):
        try:
            run(session, Problem(system, tuple(parse_state(system, line, "the state")), greedy, seed))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)


def run(session: Session, problem: Problem) -> None:
    """Prints the prompt, the answer as it is generated, and the comparison with LQR and MPC.

    Raises:
        CommandError: the model cannot be loaded or used for this plant.
    """
    baselines: list[dict[str, Any]] = []
    for event in session.answer(problem):
        if event["event"] == "problem":
            baselines = event["trajectories"]
            print(f"{event['prompt']}\n\n{session.model_name(problem.system)}: ", end="", flush=True)
        elif event["event"] == "text":
            print(event["text"], end="", flush=True)
        elif event["event"] == "outcome":
            print(f"\n\n{_summary(problem.system, [event['trajectory'], *baselines])}")
        elif event["event"] == "error":
            raise CommandError(event["message"])


def _read_lines(prompt: str) -> Iterator[str]:
    """The lines typed in, up to an empty one or the end of the input."""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            line = ""
        if not line:
            return
        yield line


def _summary(system: System, trajectories: list[dict[str, Any]]) -> str:
    """The table of the model, LQR and MPC, remarks, and a plot of each state."""
    rows = [
        [t["name"], _number(t["reward"], 2), _number(t["cost_ratio"], 4), "yes" if t["success"] else "no", t["verdict"]]
        for t in trajectories
    ]
    parts = [table(["policy", "reward 1.3", "J/J*", "success", "verdict"], rows)]
    if trajectories[0]["cost_ratio"] is None and trajectories[1]["cost_ratio"] is None:
        parts.append("No plan keeps the bounds from this initial state, so there is no J*.")
    if not trajectories[0]["answered"]:
        parts.append(f"The text holds no plan ({trajectories[0]['verdict']}).")
    shown = [(mark, t) for mark, t in zip(MARKS, trajectories, strict=True) if t["answered"]]
    legend = "   ".join(f"{mark} {t['name']}" for mark, t in shown)
    for i, name in enumerate(system.state_names):
        lines = [(mark, np.array(t["x"])[:, i]) for mark, t in shown]
        parts.append(f"{name} over {system.horizon * system.dt:g} s   {legend}\n{plot(lines)}")
    return "\n\n".join(parts)


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def plot(lines: Sequence[tuple[str, Array]]) -> str:
    """Plots one quantity over time as characters, `ROWS` high.

    Args:
        lines: a mark and the values (N + 1,) of each policy; the first covers the others. A dashed line marks zero.
    """
    if not lines:
        return ""
    values = np.concatenate([y for _, y in lines])
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    span = (high - low) or 1.0
    labels = [f"{high:8.2f} ", *[" " * 9] * (ROWS - 2), f"{low:8.2f} "]
    columns = max(10, min(COLUMNS, shutil.get_terminal_size().columns - len(labels[0]) - 2))
    canvas = np.full((ROWS, columns), " ")

    def row(value: Any) -> Any:
        return np.rint((high - value) / span * (ROWS - 1)).astype(int)

    canvas[row(np.float64(0.0)), ::2] = "-"
    for mark, y in reversed(lines):
        column = np.arange(columns)
        canvas[row(np.interp(column, np.linspace(0, columns - 1, len(y)), y)), column] = mark
    return "\n".join(f"{label}|{''.join(line).rstrip()}" for label, line in zip(labels, canvas, strict=True))
