"""The parser of completions: text to controls, or to a verdict that names the error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from control_envs.text.format import CONTROLS, END_CONTROLS, MAX_CHARS
from control_envs.utils.types import Array

__all__ = ["Parsed", "Verdict", "answer_region", "parse_completion"]

Verdict = Literal[
    "ok", "missing_tags", "duplicate_answer", "empty", "not_a_number", "non_finite", "wrong_count", "too_long"
]

# Possessive quantifiers: a match never backtracks, so that it takes linear time for every text.
_BLANK = r"[ \t\r\n]*+"
_NUMBER = r"[+-]?+(?:(?:[0-9]{1,40}+(?:\.[0-9]{0,40}+)?+|\.[0-9]{1,40}+)(?:[eE][+-]?+[0-9]{1,9}+)?+|nan|inf(?:inity)?+)"
_ROW = rf"{_NUMBER}(?:{_BLANK},{_BLANK}{_NUMBER})*+"
_ONE_CONTROL = re.compile(_ROW, re.ASCII | re.IGNORECASE)
_MANY_CONTROLS = re.compile(rf"{_ROW}(?:{_BLANK};{_BLANK}{_ROW})*+", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Parsed:
    """A parse result: ``controls`` of shape (N, m) if the verdict is "ok", else None."""

    controls: Array | None
    verdict: Verdict


def parse_completion(text: str, horizon: int, m: int = 1) -> Parsed:
    """Parses the plan of a completion in linear time. It never raises an error and never evaluates code.

    Verdicts:
        ok: exactly one answer of ``horizon`` rows of m finite numbers.
        too_long: more than `MAX_CHARS` characters.
        missing_tags: no ``<CONTROLS>...</CONTROLS>``.
        duplicate_answer: a controls tag occurs more than once.
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
    """The text between the controls tags and "ok", or "" and the verdict that names the error."""
    if len(text) > MAX_CHARS:
        return "", "too_long"
    opened, closed = text.count(CONTROLS), text.count(END_CONTROLS)
    if opened > 1 or closed > 1:
        return "", "duplicate_answer"
    start, end = text.find(CONTROLS) + len(CONTROLS), text.find(END_CONTROLS)
    if not opened or not closed or end < start:
        return "", "missing_tags"
    return text[start:end], "ok"
