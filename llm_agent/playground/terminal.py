"""`llm_agent.play` without a page: the text as it is written, a table, and a plot of characters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from control_envs import System, sample_states
from control_envs.utils.commands import CommandError
from control_envs.utils.tables import table
from control_envs.utils.types import Array
from llm_agent.playground.session import Question, Session

MARKS = "*lm"  # model, LQR, MPC; the model's is drawn last and hides the others where they agree
ROWS, COLUMNS = 9, 72


def play(session: Session, system: System, x0: Sequence[float] | None, greedy: bool, seed: int) -> None:
    """One trajectory from x0; without it, from a held-out state and then from whichever are typed in.

    Raises:
        ValueError: x0 is no state of the plant.
        CommandError: the model cannot answer.
    """
    if x0 is not None:
        fly(session, Question(system, tuple(x0), greedy, seed))
        return
    fly(session, Question(system, tuple(sample_states(system, 1, "test", seed)[0]), greedy, seed))
    for line in _typed(f"\nanother state ({', '.join(system.state_names)}), or Enter to end: "):
        try:
            fly(session, Question(system, numbers(line), greedy, seed))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas or blanks between.

    Raises:
        ValueError: something else is there.
    """
    try:
        return tuple(float(number) for number in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"a state is numbers with commas between, not {text!r}") from None


def fly(session: Session, question: Question) -> None:
    """One trajectory, told as it happens."""
    rulers: list[dict[str, Any]] = []
    for event in session.answer(question):
        if event["event"] == "problem":
            rulers = event["trajectories"]
            print(f"{event['prompt']}\n\n{session.model_name(question.system)}: ", end="", flush=True)
        elif event["event"] == "text":
            print(event["text"], end="", flush=True)
        elif event["event"] == "outcome":
            print(f"\n\n{_outcome(question.system, [event['trajectory'], *rulers])}")
        elif event["event"] == "error":
            raise CommandError(event["message"])


def _typed(prompt: str) -> Iterator[str]:
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            line = ""
        if not line:
            return
        yield line


def _outcome(system: System, trajectories: list[dict[str, Any]]) -> str:
    rows = [
        [f["name"], _number(f["reward"], 2), _number(f["cost_ratio"], 4), "yes" if f["success"] else "no", f["verdict"]]
        for f in trajectories
    ]
    parts = [table(["policy", "reward 1.3", "J/J*", "success", "verdict"], rows)]
    if trajectories[0]["cost_ratio"] is None and trajectories[1]["cost_ratio"] is None:
        parts.append("No plan keeps the bounds from here, so that there is no J*.")
    if not trajectories[0]["answered"]:
        parts.append(f"The text holds no plan ({trajectories[0]['verdict']}).")
    shown = [(mark, f) for mark, f in zip(MARKS, trajectories, strict=True) if f["answered"]]
    legend = "   ".join(f"{mark} {f['name']}" for mark, f in shown)
    for i, name in enumerate(system.state_names):
        lines = [(mark, np.array(f["x"])[:, i]) for mark, f in shown]
        parts.append(f"{name} over {system.horizon * system.dt:g} s   {legend}\n{plot(lines)}")
    return "\n\n".join(parts)


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def plot(lines: Sequence[tuple[str, Array]]) -> str:
    """Courses of one quantity as characters, the first in front; the line at zero is dashed."""
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
        at = np.arange(columns)
        canvas[row(np.interp(at, np.linspace(0, columns - 1, len(y)), y)), at] = mark
    return "\n".join(f"{label}|{''.join(line).rstrip()}" for label, line in zip(labels, canvas, strict=True))
