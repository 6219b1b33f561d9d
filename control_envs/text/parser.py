"""The parser of completions: text to controls, or to a verdict that names the error.

There are two readings. The strict one takes a completion as it stands, with a list of numbers as the prompt asks for
it. The tolerant one, tried where the strict one finds no plan, also takes what language models make of that: thoughts
before the answer, other spellings of the list (`control_envs.text.spellings`), a missing closing tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from control_envs.text.format import CONTROLS, END_CONTROLS, MAX_CHARS
from control_envs.text.spellings import BLANKS, as_requested
from control_envs.text.thoughts import without_thoughts
from control_envs.utils.types import Array

__all__ = ["Parsed", "Verdict", "answer_region", "is_plain_list", "parse_completion"]

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


def parse_completion(text: str, horizon: int, m: int = 1, strict: bool = False) -> Parsed:
    """Parses the plan of a completion in linear time. It never raises an error and never evaluates code.

    What the strict reading takes is taken as it is. The tolerant reading takes more texts, but gives no text that the
    strict one takes another meaning.

    Args:
        text: the completion.
        horizon: rows of the plan.
        m: numbers in a row.
        strict: only the strict reading.

    Verdicts:
        ok: exactly one answer of ``horizon`` rows of m finite numbers.
        too_long: more than `MAX_CHARS` characters.
        missing_tags: no ``<CONTROLS>...</CONTROLS>`` (tolerant: outside of thoughts).
        duplicate_answer: a controls tag occurs more than once (tolerant: outside of thoughts).
        empty: nothing between the tags.
        not_a_number: something other than ASCII decimal numbers (of at most 40 digits) and their separators.
        non_finite: ``nan``, ``inf``, or a number that overflows.
        wrong_count: too few or too many numbers.
    """
    region, verdict = answer_region(text)
    parsed = _parse_list(region, horizon, m) if verdict == "ok" else Parsed(None, verdict)
    if strict or parsed.verdict in ("ok", "too_long"):
        return parsed
    answer = without_thoughts(text)
    if answer == text and parsed.verdict in ("empty", "non_finite", "wrong_count"):
        return parsed  # a list as requested, which no other reading changes
    return _parse_tolerantly(answer, horizon, m)


def answer_region(text: str) -> tuple[str, Verdict]:
    """The text between the controls tags and "ok", or "" and the verdict that names the error; thoughts count too."""
    if len(text) > MAX_CHARS:
        return "", "too_long"
    opened, closed = text.count(CONTROLS), text.count(END_CONTROLS)
    if opened > 1 or closed > 1:
        return "", "duplicate_answer"
    start, end = text.find(CONTROLS) + len(CONTROLS), text.find(END_CONTROLS)
    if not opened or not closed or end < start:
        return "", "missing_tags"
    return text[start:end], "ok"


def is_plain_list(region: str) -> bool:
    """Whether the text between the tags is a list as a prompt asks for it: of numbers, or of rows of several."""
    body = region.strip(BLANKS)
    rows = body.split(";")
    return bool(_MANY_CONTROLS.fullmatch(body)) and (len(rows) == 1 or all("," in row for row in rows))


def _parse_tolerantly(text: str, horizon: int, m: int) -> Parsed:
    """The tolerant reading of a text without thoughts."""
    region, verdict = answer_region(text)
    if verdict == "ok":
        return _parse_list(as_requested(region, m), horizon, m)
    if verdict == "missing_tags" and CONTROLS in text and END_CONTROLS not in text:
        # Generation stopped at the closing tag. Only the right count of numbers shows that it did not stop before.
        parsed = _parse_list(as_requested(text.partition(CONTROLS)[2], m), horizon, m)
        if parsed.controls is not None:
            return parsed
    return Parsed(None, verdict)


def _parse_list(region: str, horizon: int, m: int) -> Parsed:
    """The strict reading of a list of numbers."""
    body = region.strip(BLANKS)
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
