"""The text format: one definition for the prompt's instruction, the writer and the parser.

A completion is ``<REASONING>free text</REASONING><CONTROLS>-1.62, -1.31, ...</CONTROLS>``. With several controls
the rows are separated by semicolons: ``0.10, -0.20; 0.05, -0.10; ...``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from control_envs.rewards import FormatReward
from control_envs.systems.base import Array, System, shortest

REASONING, END_REASONING = "<REASONING>", "</REASONING>"
CONTROLS, END_CONTROLS = "<CONTROLS>", "</CONTROLS>"
FORMAT_TAGS = (END_REASONING, CONTROLS, END_CONTROLS)
MAX_CHARS = 100_000
DECIMALS = 2

Verdict = Literal[
    "ok", "missing_tags", "duplicate_answer", "empty", "not_a_number", "non_finite", "wrong_count", "too_long"
]

# Possessive quantifiers: whatever the text, a match never backtracks, so it takes linear time.
_BLANK = r"[ \t\r\n]*+"
_NUMBER = r"[+-]?+(?:(?:[0-9]{1,40}+(?:\.[0-9]{0,40}+)?+|\.[0-9]{1,40}+)(?:[eE][+-]?+[0-9]{1,9}+)?+|nan|inf(?:inity)?+)"
_ROW = rf"{_NUMBER}(?:{_BLANK},{_BLANK}{_NUMBER})*+"
_ONE_CONTROL = re.compile(_ROW, re.ASCII | re.IGNORECASE)
_MANY_CONTROLS = re.compile(rf"{_ROW}(?:{_BLANK};{_BLANK}{_ROW})*+", re.ASCII | re.IGNORECASE)


# -- writing -------------------------------------------------------------------------------------------------


def format_prompt(system: System, x0: ArrayLike, precision: int = DECIMALS) -> str:
    """The control problem as plain ASCII text; it alone tells all that a plan needs.

    Args:
        system: the plant, with its settings.
        x0: the state to start from, shape (n,).
        precision: decimals of a state that lies on that grid; any other state is printed with all its digits.

    Raises:
        ValueError: x0 has the wrong shape or is not finite.
    """
    x0 = np.asarray(x0, dtype=np.float64)
    if x0.shape != (system.n,) or not np.all(np.isfinite(x0)):
        raise ValueError(f"x0 must be {system.n} finite numbers ({', '.join(system.state_names)}), not {x0.tolist()}")
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
    """The sentence of the prompt that says what the parser will accept."""
    if system.m == 1:
        numbers = f"{system.horizon} numbers separated by commas"
    else:
        row = ", ".join(system.control_names)
        numbers = f"{system.horizon} rows of {row} separated by semicolons"
    return f"Answer {REASONING}...{END_REASONING}{CONTROLS}{numbers}{END_CONTROLS}"


def answer_pattern(system: System, decimals: int = DECIMALS) -> str:
    """A regular expression of whole answers, for engines that keep a model to one (structured output).

    Every text that it matches has the verdict "ok", and every answer that `format_completion` writes from a reasoning
    without "<" matches. It holds no look-around and no lazy quantifier, so that any engine can compile it.
    """
    number = rf"-?[0-9]{{1,4}}\.[0-9]{{1,{decimals}}}"
    row = rf"{number}(, {number}){{{system.m - 1}}}" if system.m > 1 else number
    between = ", " if system.m == 1 else "; "
    rows = rf"{row}({between}{row}){{{system.horizon - 1}}}"
    return f"{REASONING}[^<]*{END_REASONING}{CONTROLS}{rows}{END_CONTROLS}"


def format_controls(controls: ArrayLike, decimals: int = DECIMALS) -> str:
    """Controls (N, m) as the text between the tags."""
    rows = np.asarray(controls, dtype=np.float64)
    if rows.ndim != 2 or not np.all(np.isfinite(rows)):
        raise ValueError(f"controls must be finite and of shape (N, m), not {rows.shape}")
    between = ", " if rows.shape[1] == 1 else "; "
    return between.join(", ".join(_fixed(value, decimals) for value in row) for row in rows.tolist())


def format_completion(controls: ArrayLike, reasoning: str = "", decimals: int = DECIMALS) -> str:
    """A whole answer; `parse_completion` reads back the controls rounded to ``decimals``."""
    return f"{REASONING}{reasoning}{END_REASONING}{CONTROLS}{format_controls(controls, decimals)}{END_CONTROLS}"


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0.0 else text


def _decimal(value: float, decimals: int) -> str:
    """A fixed number of decimals where they suffice, otherwise all digits."""
    text = _fixed(float(value), decimals)
    return text if float(text) == value else shortest(value)


def _interval(name: str, low: float, high: float) -> str:
    if low == -high:
        return f"|{name}| <= {shortest(high)}"
    return f"{shortest(low)} <= {name} <= {shortest(high)}"


# -- reading -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Parsed:
    """What a completion says: ``controls`` of shape (N, m) if the verdict is "ok", else None."""

    controls: Array | None
    verdict: Verdict


def parse_completion(text: str, horizon: int, m: int = 1) -> Parsed:
    """Reads the plan out of a completion. Never raises, never evaluates, takes linear time.

    Verdicts:
        ok: exactly one answer of ``horizon`` rows of m finite numbers.
        too_long: more than `MAX_CHARS` characters.
        missing_tags: no ``<CONTROLS>...</CONTROLS>``.
        duplicate_answer: a controls tag stands more than once.
        empty: nothing between the tags.
        not_a_number: something other than ASCII decimal numbers (of at most 40 digits) and their separators.
        non_finite: ``nan``, ``inf``, or a number that overflows.
        wrong_count: too few or too many numbers.
    """
    region, verdict = answer_region(text)
    if verdict != "ok":
        return Parsed(None, verdict)
    body = region.strip(" \t\r\n")
    if not body:
        return Parsed(None, "empty")
    if not (_ONE_CONTROL if m == 1 else _MANY_CONTROLS).fullmatch(body):
        return Parsed(None, "not_a_number")
    rows = body.split(";") if m > 1 else body.split(",")
    numbers = np.array([float(number) for row in rows for number in row.split(",")])
    if not np.isfinite(numbers).all():
        return Parsed(None, "non_finite")
    if len(rows) != horizon or any(row.count(",") != m - 1 for row in rows):
        return Parsed(None, "wrong_count")
    return Parsed(numbers.reshape(horizon, m), "ok")


def answer_region(text: str) -> tuple[str, Verdict]:
    """The text between the answer's tags and "ok", or "" and why there is none."""
    if len(text) > MAX_CHARS:
        return "", "too_long"
    opened, closed = text.count(CONTROLS), text.count(END_CONTROLS)
    if opened > 1 or closed > 1:
        return "", "duplicate_answer"
    start, end = text.find(CONTROLS) + len(CONTROLS), text.find(END_CONTROLS)
    if not opened or not closed or end < start:
        return "", "missing_tags"
    return text[start:end], "ok"


# -- the format's own reward ---------------------------------------------------------------------------------


def is_exact_format(text: str) -> bool:
    """Whether each tag stands once and in order, with only blanks between the parts and after the last."""
    if len(text) > MAX_CHARS or any(text.count(tag) != 1 for tag in FORMAT_TAGS):
        return False
    _, _, rest = text.partition(END_REASONING)
    between, found, answer = rest.partition(CONTROLS)
    body, closed, after = answer.partition(END_CONTROLS)
    return bool(found and closed and body.strip()) and not between.strip() and not after.strip()


def exact_format_reward(text: str, spec: FormatReward) -> float:
    """The reward for the full format, or 0."""
    return spec.exact if is_exact_format(text) else 0.0


def approximate_format_reward(text: str, spec: FormatReward) -> float:
    """The sum over the three format tags of what each earns: found exactly once, or not."""
    text = text[:MAX_CHARS]
    return sum(
        found if text.count(tag) == 1 else spec.missing for tag, found in zip(FORMAT_TAGS, spec.found, strict=True)
    )
