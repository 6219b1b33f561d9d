"""Elementwise numpy functions compiled into one loop (numba, the extra ``fast``).

numpy works through a batch once for every operation; for a thousand states most of the time is its calls. `fused` runs
a function once on stand-ins that write down what is done to them, and compiles what was written into a single loop. So
the plants, their measures and the rewards are compiled from their only definition. Sums and products are done in the
same order and give the same bits; `exp`, `sin` and the like may differ from numpy's in the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from control_envs.utils.optional import need
from control_envs.utils.types import Array

_SAME_NAME = ("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")
# What each of numpy's functions is in Python.
_WRITTEN = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "power": "{} ** {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "equal": "{} == {}",
    "logical_or": "({} != 0) | ({} != 0)",
    "bitwise_or": "({} != 0) | ({} != 0)",
    "logical_and": "({} != 0) & ({} != 0)",
    "bitwise_and": "({} != 0) & ({} != 0)",
    # A NaN goes through, as in numpy.
    "minimum": "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
    "maximum": "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    "remainder": "np.remainder({}, {})",
    "negative": "-{}",
    "absolute": "abs({})",
    "square": "{0} * {0}",
    "logical_not": "({} == 0)",
    **{name: f"math.{name}({{}})" for name in _SAME_NAME},
    "arcsin": "math.asin({})",
    "arccos": "math.acos({})",
    "arctan": "math.atan({})",
    "arctan2": "math.atan2({}, {})",
    "hypot": "math.hypot({}, {})",
}


class _Number(NDArrayOperatorsMixin):
    """One element of an array, whose arithmetic is written down rather than done."""

    def __init__(self, lines: list[str], name: str):
        self.lines, self.name = lines, name

    def _note(self, expression: str) -> _Number:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return _Number(self.lines, name)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc.__name__ not in _WRITTEN:
            raise TypeError(f"numpy's {ufunc.__name__} cannot be compiled; leave compiled out")
        return self._note(_WRITTEN[ufunc.__name__].format(*map(_named, inputs)))

    def __array_function__(self, function: Callable, types: Any, args: Sequence, kwargs: Any) -> Any:
        if function is np.shape:
            return ()
        if function is np.where:
            condition, yes, no = map(_named, args)
            return self._note(f"{yes} if {condition} else {no}")
        if function is np.select:
            chosen = args[2] if len(args) > 2 else kwargs.get("default", 0)
            for condition, value in reversed(list(zip(args[0], args[1], strict=True))):
                chosen = self._note(f"{_named(value)} if {_named(condition)} else {_named(chosen)}")
            return chosen
        raise TypeError(f"numpy's {function.__name__} cannot be compiled; leave compiled out")

    def __bool__(self) -> bool:
        raise TypeError("a function that asks what a number is cannot be compiled: choose with np.where")


def _named(value: Any) -> str:
    if isinstance(value, _Number):
        return value.name
    number = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return f"({number!r})"


def fused(function: Callable[..., Any], *templates: Any) -> Callable[..., Array]:
    """The same function on `packed` arrays, compiled when it is first called.

    Args:
        function: takes arrays (B,), (named) tuples of them and plain numbers, and returns an array or a tuple. It adds,
            compares and chooses (``np.where``, ``np.minimum`` and the like), and branches on no value.
        templates: something of the structure of each argument: a tuple where it takes one, else any number.

    Returns:
        A function that takes one array (leaves, W), the arrays in order, for each tuple and a number for all else, and
        returns one array (leaves, W), comparisons as 0.0 and 1.0. ``out`` takes the result, and may be an argument.

    Raises:
        ImportError: numba is not installed.
        TypeError: the function does what cannot be compiled.
    """
    njit = need("numba", "fast").njit
    lines: list[str] = []
    names = [f"p{i}" for i in range(len(templates))]
    arguments = [_stand_in(template, name, lines) for template, name in zip(templates, names, strict=True)]
    computed = list(_leaves(function(*arguments)))
    stores = [f"out[{row}, i] = {_named(leaf)}" for row, leaf in enumerate(computed)]
    signature = f"def kernel({', '.join(names)}, out):"
    loop = ["    for i in range(out.shape[1]):", *(f"        {line}" for line in lines + stores)]
    space = {"np": np, "math": math, "inf": math.inf, "nan": math.nan}
    exec("\n".join([signature, *loop]), space)
    kernel = njit(space["kernel"], error_model="numpy")

    def call(*packed: Any, out: Array | None = None) -> Array:
        if out is None:
            out = np.empty((len(computed), packed[0].shape[1]))
        kernel(*packed, out)
        return out

    return call


def _stand_in(template: Any, name: str, lines: list[str]) -> Any:
    """The template with numbers that write down what is done to them."""
    if not isinstance(template, tuple):
        return _Number(lines, name)
    rows = count()

    def built(part: Any) -> Any:
        if isinstance(part, tuple):
            parts = [built(p) for p in part]
            return part._make(parts) if hasattr(part, "_make") else tuple(parts)
        row = next(rows)
        lines.append(f"{name}_{row} = {name}[{row}, i]")  # all is read before anything is written
        return _Number(lines, f"{name}_{row}")

    return built(template)


def _leaves(value: Any) -> Iterator[Any]:
    """The arrays of nested tuples in order."""
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def packed(value: Any) -> Array:
    """Nested tuples of arrays (B,) as one array (leaves, W), as a function of `fused` takes them.

    W is B and up to 63 columns of zeros: rows a multiple of 4096 bytes apart would wait for each other in the
    processor's store buffer.
    """
    rows = list(_leaves(value))
    array = np.zeros((len(rows), padded(len(rows[0]))))
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def padded(batch: int) -> int:
    """The columns of a packed batch."""
    return batch + (8 - batch) % 64
