"""Training on a CPU: the faster of bfloat16 and float32, denormal numbers flushed to zero."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

__all__ = ["bf16_is_quicker", "hardware", "thread_time", "without_denormals"]

_SHAPE = (2048, 128, 384)  # tokens of a batch, width and MLP width of the tiny model
_REPEATS = 10
_SPEEDUP = 1.2  # CPUs multiply bfloat16 either twice or half as fast as float32: none is near this threshold


def hardware(begun: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Default options for training without an accelerator: the CPU, in bfloat16 if that is faster; else none.

    Args:
        begun: the defaults with which a run was started. A resumed run keeps its precision on any other CPU.
    """
    if torch.accelerator.is_available():
        return {}
    return {"use_cpu": True, "bf16": bf16_is_quicker(), **(begun or {})}


@functools.cache
def bf16_is_quicker() -> bool:
    """Measures whether this CPU multiplies bfloat16 clearly faster than float32.

    The CPU's flags do not say: with ``avx512_bf16`` an EPYC is twice as fast, a Xeon half as fast. The measure is the
    CPU time of one thread, so that the same command chooses the same precision even on a busy machine.
    """
    rows, inner, columns = _SHAPE
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = [
            (torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype))
            for dtype in (torch.float32, torch.bfloat16)
        ]
        # Alternating, so that a moment in which the core is slow affects both.
        linear = torch.nn.functional.linear
        rounds = [[thread_time(partial(linear, *operands)) for operands in work] for _ in range(_REPEATS)]
    finally:
        torch.set_num_threads(threads)
    single, half = map(min, zip(*rounds, strict=True))
    return single > _SPEEDUP * half


def thread_time(work: Callable[[], object]) -> float:
    """Seconds of CPU time of this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


@contextmanager
def without_denormals() -> Iterator[None]:
    """Flushes numbers below 1e-38 to zero, in this thread and in the threads that torch starts inside the block.

    Many probabilities and gradients of a confident model are that small, and a CPU takes many times as long for each.
    """
    before = bool(torch.tensor(1e-39) * 1.0 == 0.0)  # torch has no getter for this setting
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
