"""A vectorised parser of many completions.

`parse_completions` gives the same results as `parse_completion` for each text. Answers as `format_controls` writes them
(one control, numbers such as -1.62 with up to three digits and two decimals) are parsed together, as arrays of bytes.
Any other text is parsed on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from control_envs.text.parser import Verdict, answer_region, parse_completion
from control_envs.utils.types import Array

__all__ = ["ParsedBatch", "parse_completions"]

_COMMA, _MINUS, _BLANK, _ZERO = (np.uint8(ord(c)) for c in ",- 0")
_POINT = np.uint8((ord(".") - ord("0")) % 256)
_MIN_LENGTH, _MAX_LENGTH = 4, 6  # characters of "0.00" and of "999.99"


@dataclass(frozen=True, eq=False)
class ParsedBatch:
    """The parse results of B completions.

    Attributes:
        controls: the plans of the valid completions, in order, shape (valid.sum(), N, m).
        valid: which completions hold a plan, shape (B,).
        verdicts: B parse verdicts.
    """

    controls: Array
    valid: np.ndarray
    verdicts: list[Verdict]


def parse_completions(texts: Sequence[str], horizon: int, m: int = 1, strict: bool = False) -> ParsedBatch:
    """Parses the plans of B completions, as `parse_completion` does. No text makes it raise."""
    plans, done = np.empty((len(texts), horizon, m)), np.zeros(len(texts), dtype=bool)
    if m == 1:
        _parse_standard(texts, plans, done)
    valid = np.ones(len(texts), dtype=bool)
    verdicts: list[Verdict] = ["ok"] * len(texts)
    for i in np.flatnonzero(~done).tolist():
        parsed = parse_completion(texts[i], horizon, m, strict)
        verdicts[i] = parsed.verdict
        if parsed.controls is None:
            valid[i] = False
        else:
            plans[i] = parsed.controls
    return ParsedBatch(plans if valid.all() else plans[valid], valid, verdicts)


def _parse_standard(texts: Sequence[str], plans: Array, done: np.ndarray) -> None:
    """Fills ``plans`` (B, N, 1) for the texts in standard form, and marks these in ``done`` (B,)."""
    horizon = plans.shape[1]
    bodies = {i: body for i, text in enumerate(texts) if (body := answer_region(text)[0]).count(",") == horizon - 1}
    if bodies:
        joined = ",".join(bodies.values()).encode("ascii", "replace") + b","
        numbers, well_formed = _parse_numbers(np.frombuffer(joined, dtype=np.uint8))
        rows = np.fromiter(bodies, dtype=np.intp, count=len(bodies))
        plans[rows] = numbers.reshape(-1, horizon, 1)
        done[rows] = well_formed.reshape(-1, horizon).all(axis=1)


def _parse_numbers(text: np.ndarray) -> tuple[Array, np.ndarray]:
    """The number before each comma, and whether it has the form ``-ddd.dd`` with at most one blank before it.

    Numbers are parsed backwards from the comma: two decimals, the point, then digits up to the start of the number.
    """
    ends = np.flatnonzero(text == _COMMA)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    starts += text[starts] == _BLANK
    negative = text[starts] == _MINUS
    starts += negative
    length = ends - starts
    at = ends + _MAX_LENGTH
    digits = (
        np.concatenate([np.zeros(_MAX_LENGTH, dtype=np.uint8), text]) - _ZERO
    )  # any other character wraps to a value above 9
    well_formed = (length >= _MIN_LENGTH) & (length <= _MAX_LENGTH) & (digits[at - 3] == _POINT)
    value = np.zeros(len(ends), dtype=np.int32)
    for back, weight in ((1, 1), (2, 10), (4, 100), (5, 1_000), (6, 10_000)):
        digit = digits[at - back]
        if back > _MIN_LENGTH:
            digit *= back <= length
        well_formed &= digit <= 9
        value += digit * np.int32(weight)
    numbers = value / 100  # one correctly rounded division: exactly the float of the text
    return np.negative(numbers, out=numbers, where=negative), well_formed
