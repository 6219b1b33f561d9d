"""What training asks of the machine: which precision a CPU multiplies quicker, and no denormal numbers."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

_SHAPE = (2048, 128, 384)  # a batch of the tiny model's tokens through its MLP
_REPEATS = 10
_CLEARLY = 1.2  # some CPUs multiply bfloat16 twice as fast as float32, some half as fast: none is near this


def hardware(begun: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Training's defaults without an accelerator: the CPU, in bfloat16 where it is the quicker precision.

    ``begun``: what this gave where a run was begun, whose precision the run keeps on any other CPU.
    """
    if torch.accelerator.is_available():
        return {}
    return {"use_cpu": True, "bf16": bf16_is_quicker(), **(begun or {})}


@functools.cache
def bf16_is_quicker() -> bool:
    """Whether this CPU multiplies bfloat16 clearly faster than float32, by trying.

    To be told that it has the instructions is not enough: an EPYC with ``avx512_bf16`` is twice as fast by them, a Xeon
    half as fast. What is counted is the time of one thread at work, which a busy machine does not change: the same
    command is to choose the same precision each time.
    """
    rows, inner, columns = _SHAPE
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work = [
            (torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype))
            for dtype in (torch.float32, torch.bfloat16)
        ]
        # In turns: a moment in which the core is slow slows both.
        rounds = [[_thread_time(*operands) for operands in work] for _ in range(_REPEATS)]
    finally:
        torch.set_num_threads(threads)
    single, half = map(min, zip(*rounds, strict=True))
    return single > _CLEARLY * half


def _thread_time(tokens: torch.Tensor, weight: torch.Tensor) -> float:
    start = time.thread_time()
    torch.nn.functional.linear(tokens, weight)
    return time.thread_time() - start


@contextmanager
def without_denormals() -> Iterator[None]:
    """Numbers below 1e-38 count as zero: a sharp model's probabilities and gradients are full of them, and a CPU
    takes many times as long for each. It holds in this thread, and in the threads that torch starts within.
    """
    before = bool(torch.tensor(1e-39) * 1.0 == 0.0)  # torch can be told, but not asked
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
