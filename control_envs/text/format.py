"""The text format: tags, prompts and the writer of answers. `control_envs.text.parser` reads what it writes.

A completion is ``<REASONING>free text</REASONING><CONTROLS>-1.62, -1.31, ...</CONTROLS>``. With several
controls, semicolons separate the rows: ``0.10, -0.20; 0.05, -0.10; ...``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from control_envs.systems.base import System, shortest
from control_envs.systems.checks import checked_states

__all__ = [
    "CONTROLS",
    "DECIMALS",
    "END_CONTROLS",
    "END_REASONING",
    "FORMAT_TAGS",
    "MAX_CHARS",
    "REASONING",
    "answer_pattern",
    "format_completion",
    "format_controls",
    "format_instruction",
    "format_prompt",
]

REASONING, END_REASONING = "<REASONING>", "</REASONING>"
CONTROLS, END_CONTROLS = "<CONTROLS>", "</CONTROLS>"
FORMAT_TAGS = (END_REASONING, CONTROLS, END_CONTROLS)
MAX_CHARS = 100_000
DECIMALS = 2


def format_prompt(system: System, x0: ArrayLike, precision: int = DECIMALS) -> str:
    """The control problem as plain ASCII text, with everything needed to plan.

    Args:
        system: the plant, with its settings.
        x0: the initial state, shape (n,).
        precision: decimals of the state; a value that needs more is printed with all its digits.

    Raises:
        ValueError: x0 has the wrong shape or is not finite.
    """
    x0 = checked_states("x0", x0, system.state_names)
    start = ", ".join(
        f"{name}={_decimal(value, precision)}" for name, value in zip(system.state_names, x0, strict=True)
    )
    bounds = [
        _interval(name, low, high)
        for names, limits in ((system.state_names, system.x_bounds), (system.control_names, system.u_bounds))
        for name, (low, high) in zip(names, limits, strict=True)
    ]
    return (
        f"Control {system.title} ({system.equation_text}) from {start} to the origin "
        f"in {_decimal(round(system.horizon * system.dt, 9), 2)} s with {system.horizon} controls, "
        f"one every {_decimal(system.dt, 2)} s. Keep {', '.join(bounds)}. {format_instruction(system)}"
    )


def format_instruction(system: System) -> str:
    """The sentence of the prompt that describes the answer format."""
    if system.m == 1:
        numbers = f"{system.horizon} numbers separated by commas"
    else:
        row = ", ".join(system.control_names)
        numbers = f"{system.horizon} rows of {row} separated by semicolons"
    return f"Answer {REASONING}...{END_REASONING}{CONTROLS}{numbers}{END_CONTROLS}"


def answer_pattern(system: System, decimals: int = DECIMALS) -> str:
    """A regular expression for whole answers, for engines that constrain generation (structured output).

    Every text that it matches has the verdict "ok". It matches every answer that `format_completion` writes from a
    reasoning without "<". It has no look-around and no lazy quantifier, so that any engine can compile it.
    """
    number = rf"-?[0-9]{{1,4}}\.[0-9]{{1,{decimals}}}"
    row = rf"{number}(, {number}){{{system.m - 1}}}" if system.m > 1 else number
    separator = ", " if system.m == 1 else "; "
    rows = rf"{row}({separator}{row}){{{system.horizon - 1}}}"
    return f"{REASONING}[^<]*{END_REASONING}{CONTROLS}{rows}{END_CONTROLS}"


def format_controls(controls: ArrayLike, decimals: int = DECIMALS) -> str:
    """Controls (N, m) as the text between the tags.

    Raises:
        ValueError: not two axes, or a control that is not finite.
    """
    rows = np.asarray(controls, dtype=np.float64)
    if rows.ndim != 2 or not np.all(np.isfinite(rows)):
        raise ValueError(f"controls must be finite and of shape (N, m), not {rows.shape}")
    separator = ", " if rows.shape[1] == 1 else "; "
    return separator.join(", ".join(_fixed(value, decimals) for value in row) for row in rows.tolist())


def format_completion(controls: ArrayLike, reasoning: str = "", decimals: int = DECIMALS) -> str:
    """A whole answer; `parse_completion` returns its controls, rounded to ``decimals``."""
    return f"{REASONING}{reasoning}{END_REASONING}{CONTROLS}{format_controls(controls, decimals)}{END_CONTROLS}"


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0.0 else text


def _decimal(value: float, decimals: int) -> str:
    """A fixed number of decimals if they suffice, otherwise all digits."""
    text = _fixed(float(value), decimals)
    return text if float(text) == value else shortest(value)


def _interval(name: str, low: float, high: float) -> str:
    if low == -high:
        return f"|{name}| <= {shortest(high)}"
    return f"{shortest(low)} <= {name} <= {shortest(high)}"
