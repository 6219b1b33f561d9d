"""Many completions read at once.

`parse_completions` gives what `parse_completion` gives for each text. Answers in the form that `format_controls`
writes (one control, numbers such as -1.62 with up to three digits and two decimals) are read together, byte by byte
in arrays; any other text is read alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from control_envs.text.parser import Verdict, answer_region, parse_completion
from control_envs.utils.types import Array

_COMMA, _MINUS, _BLANK, _ZERO = (np.uint8(ord(c)) for c in ",- 0")
_POINT = np.uint8((ord(".") - ord("0")) % 256)
_LEAST, _ROOM = 4, 6  # characters of "0.00" and of "999.99"


@dataclass(frozen=True, eq=False)
class ParsedBatch:
    """What B completions say.

    Attributes:
        controls: plans of those that hold one, in order, shape (valid.sum(), N, m).
        valid: which hold one, shape (B,).
        verdicts: B parse verdicts.
    """

    controls: Array
    valid: np.ndarray
    verdicts: list[Verdict]


def parse_completions(texts: Sequence[str], horizon: int, m: int = 1) -> ParsedBatch:
    """Reads the plans out of B completions; never raises, whatever the texts."""
    plans, read = np.empty((len(texts), horizon, m)), np.zeros(len(texts), dtype=bool)
    if m == 1:
        _read_plain(texts, plans, read)
    valid = np.ones(len(texts), dtype=bool)
    verdicts: list[Verdict] = ["ok"] * len(texts)
    for i in np.flatnonzero(~read).tolist():
        parsed = parse_completion(texts[i], horizon, m)
        verdicts[i] = parsed.verdict
        if parsed.controls is None:
            valid[i] = False
        else:
            plans[i] = parsed.controls
    return ParsedBatch(plans if valid.all() else plans[valid], valid, verdicts)


def _read_plain(texts: Sequence[str], plans: Array, read: np.ndarray) -> None:
    """Fills the plans (B, N, 1) of the texts that are written plainly, and marks these in ``read`` (B,)."""
    horizon = plans.shape[1]
    bodies = {i: body for i, text in enumerate(texts) if (body := answer_region(text)[0]).count(",") == horizon - 1}
    if bodies:
        joined = ",".join(bodies.values()).encode("ascii", "replace") + b","
        numbers, good = _read_numbers(np.frombuffer(joined, dtype=np.uint8))
        rows = np.fromiter(bodies, dtype=np.intp, count=len(bodies))
        plans[rows] = numbers.reshape(-1, horizon, 1)
        read[rows] = good.reshape(-1, horizon).all(axis=1)


def _read_numbers(text: np.ndarray) -> tuple[Array, np.ndarray]:
    """The number before each comma, and whether it is written ``-ddd.dd``, one blank before it at most.

    Numbers are read backwards from their comma: two decimals, the point, then digits until the number's start.
    """
    ends = np.flatnonzero(text == _COMMA)
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    starts += text[starts] == _BLANK
    negative = text[starts] == _MINUS
    starts += negative
    length = ends - starts
    at = ends + _ROOM
    digits = np.concatenate([np.zeros(_ROOM, dtype=np.uint8), text]) - _ZERO  # what is no digit wraps to above 9
    good = (length >= _LEAST) & (length <= _ROOM) & (digits[at - 3] == _POINT)
    value = np.zeros(len(ends), dtype=np.int32)
    for back, weight in ((1, 1), (2, 10), (4, 100), (5, 1_000), (6, 10_000)):
        digit = digits[at - back]
        if back > _LEAST:
            digit *= back <= length
        good &= digit <= 9
        value += digit * np.int32(weight)
    numbers = value / 100  # one correctly rounded division: the very float that the text denotes
    return np.negative(numbers, out=numbers, where=negative), good
