"""Speed, measured side by side in one process and given as ratios."""

import time


def best_time(work, repeats=7):
    """The least of several wall-clock times, in seconds, after one for warming up: the machine when left alone."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
