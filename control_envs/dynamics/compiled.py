"""Elementwise numpy functions compiled into one loop (numba, the extra ``fast``).

numpy passes over a batch once per operation; for a thousand states, most of the time goes into calling numpy. `fused`
traces a function: it calls the function once with placeholders that record every operation, and compiles the recorded
operations into one loop. Plants, metrics and rewards therefore need no second definition. Sums and products are
evaluated in the same order and give the same bits; `exp`, `sin` and similar functions may differ from numpy's in the
last bit.
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

__all__ = ["fused", "packed", "padded"]

_SAME_NAME = ("sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")
# Each numpy function as a Python expression of its arguments.
_EXPRESSIONS = {
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
    # NaN propagates, as in numpy.
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


class _Traced(NDArrayOperatorsMixin):
    """A placeholder for one array element: it records operations instead of computing them."""

    def __init__(self, lines: list[str], name: str):
        self.lines, self.name = lines, name

    def _record(self, expression: str) -> _Traced:
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {expression}")
        return _Traced(self.lines, name)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc.__name__ not in _EXPRESSIONS:
            raise TypeError(f"numpy's {ufunc.__name__} cannot be compiled: leave out compiled=True")
        return self._record(_EXPRESSIONS[ufunc.__name__].format(*map(_operand, inputs)))

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: Any) -> Any:
        if function is np.shape:
            return ()
        if function is np.where:
            condition, if_true, if_false = map(_operand, args)
            return self._record(f"{if_true} if {condition} else {if_false}")
        if function is np.select:
            selected = args[2] if len(args) > 2 else kwargs.get("default", 0)
            for condition, value in reversed(list(zip(args[0], args[1], strict=True))):
                selected = self._record(f"{_operand(value)} if {_operand(condition)} else {_operand(selected)}")
            return selected
        raise TypeError(f"numpy's {function.__name__} cannot be compiled: leave out compiled=True")

    def __bool__(self) -> bool:
        raise TypeError("a function that branches on a value cannot be compiled: use np.where")


def _operand(value: Any) -> str:
    """A traced value's variable name, or a constant's literal."""
    if isinstance(value, _Traced):
        return value.name
    number = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return f"({number!r})"


def fused(function: Callable[..., Any], *templates: Any) -> Callable[..., Array]:
    """The same function for `packed` arrays; numba compiles it at the first call.

    Args:
        function: takes arrays (B,), (named) tuples of them and plain numbers, and returns an array or a tuple. It may
            compute, compare and select (``np.where``, ``np.minimum`` and similar functions), but not branch on values.
        templates: one for each argument, with its structure: a tuple for a tuple, any number for anything else.

    Returns:
        A function that takes a `packed` array (leaves, W) for each tuple and a number for anything else. It returns one
        array (leaves, W), with comparisons as 0.0 and 1.0. ``out`` receives the result and may be one of the arguments.

    Raises:
        ImportError: numba is not installed.
        TypeError: the function uses an operation that cannot be compiled.
    """
    njit = need("numba", "fast").njit
    lines: list[str] = []
    names = [f"p{i}" for i in range(len(templates))]
    arguments = [_placeholder(template, name, lines) for template, name in zip(templates, names, strict=True)]
    computed = list(_leaves(function(*arguments)))
    stores = [f"out[{row}, i] = {_operand(leaf)}" for row, leaf in enumerate(computed)]
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


def _placeholder(template: Any, name: str, lines: list[str]) -> Any:
    """The template with a `_Traced` placeholder for each number."""
    if not isinstance(template, tuple):
        return _Traced(lines, name)
    rows = count()

    def build(part: Any) -> Any:
        if isinstance(part, tuple):
            parts = [build(p) for p in part]
            return part._make(parts) if hasattr(part, "_make") else tuple(parts)
        row = next(rows)
        lines.append(f"{name}_{row} = {name}[{row}, i]")  # read every input before writing any output
        return _Traced(lines, f"{name}_{row}")

    return build(template)


def _leaves(value: Any) -> Iterator[Any]:
    """The leaves of nested tuples, in order."""
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def packed(value: Any) -> Array:
    """Packs nested tuples of arrays (B,) into one array (leaves, W), the input of a function from `fused`.

    W is B plus up to 63 columns of zeros: rows a multiple of 4096 bytes apart would stall each other in the processor's
    store buffer.
    """
    rows = list(_leaves(value))
    array = np.zeros((len(rows), padded(len(rows[0]))))
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    return array


def padded(batch: int) -> int:
    """The number of columns W of a packed batch."""
    return batch + (8 - batch) % 64
