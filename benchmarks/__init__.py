"""Benchmarks: each compares speeds side by side in one process and prints their ratios."""

import time
from collections import defaultdict


def best_time(work, repeats=7):
    """The minimum of several wall-clock times in seconds, after one warm-up call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def operator_shares(work, top, runs=1):
    """Rows (operator, share of the time) of the slowest operators, by torch's profiler, in the calling thread only."""
    from torch.profiler import profile

    work()
    with profile() as recorded:
        for _ in range(runs):
            work()
    spent = defaultdict(float)
    for event in recorded.key_averages():
        spent[event.key] += event.self_cpu_time_total
    total = sum(spent.values())
    return [[f"`{name}`", f"{spent[name] / total:.0%}"] for name in sorted(spent, key=spent.get, reverse=True)[:top]]
