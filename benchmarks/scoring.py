"""From text to reward: the batched scorer against a simple loop over completions.

    python -m benchmarks.scoring

All parse, simulate and score the same texts, in one process on one core, and must agree. The loop is the obvious
implementation: a regular expression and `float` for the text, one step at a time for the trajectory, and the terms of
version 1.3 in plain Python. It uses the same Runge-Kutta step, or SciPy's `solve_ivp`. The batch is scored with
numpy, and with compiled loops (``compiled=True``, the extra ``fast``), which are compiled before they are timed.
"""

import math
import os
import re

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import time
import tracemalloc

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks import best_time
from control_envs import SYSTEMS, format_completion, sample_states, score_completions
from control_envs.text.batch_parser import parse_completions
from control_envs.utils import tables

COUNT = 1000
SIZES = (10, 100, 1_000, 10_000, 100_000)


def score_one(system, x0, text, stepped):
    """Reward 1.3 of one completion, step by step; ``stepped(field, x, h)`` returns the state after h seconds."""
    found = re.search(r"<CONTROLS>(.*?)</CONTROLS>", text, re.DOTALL)
    written = [float(number) for number in found.group(1).split(",")]
    (u_low, u_high), x = system.u_bounds[0], list(map(float, x0))
    u_scale = float(system.u_scale[0])
    Q, R = np.diag(system.Q), float(system.R[0, 0])
    inside_box = lambda x: all(lo - 1e-6 <= v <= hi + 1e-6 for v, (lo, hi) in zip(x, system.x_bounds, strict=True))  # noqa: E731
    squared = lambda x: [(v / s) ** 2 for v, s in zip(x, system.x_scale, strict=True)]  # noqa: E731
    distances, inside, violations, cost = [math.sqrt(sum(squared(x)))], [inside_box(x)], 0, 0.0
    for command in written:
        u = min(max(command, u_low), u_high)
        violations += command != u
        cost += sum(q * v for q, v in zip(Q, squared(x), strict=True)) + R * (u / u_scale) ** 2
        field = lambda t, x, u=u: system.vector_field(x, (u,), **system.params)  # noqa: E731
        x = wrap_angles(system, stepped(field, x, system.dt))
        distances.append(math.sqrt(sum(squared(x))))
        inside.append(inside_box(x))
        violations += not inside[-1]
    cost += 5 * sum(q * v for q, v in zip(Q, squared(x), strict=True))
    start, error, n = distances[0], distances[-1], len(written)
    change = sum(abs(b - a) for a, b in itertools.pairwise(written)) / (n - 1) / u_scale
    return max(
        70
        + 30 * min(max((start - error) / start, 0), 1)
        + 15 * math.exp(-2 * sum(distances) / (n + 1))
        + 25 * math.exp(-10 * error)
        + 10 * math.exp(-sum(map(abs, written)) / n / u_scale)
        + 8 * math.exp(-2 * change)
        - 15 * math.tanh(cost / 200)
        - min(2 * violations, 20)
        + 10 * sum(inside) / (n + 1)
        - 5,
        30,
    )


def wrap_angles(system, x):
    """The state with its angles in [-pi, pi]."""
    if not system.periodic:
        return x
    names = zip(x, system.state_names, strict=True)
    return [math.remainder(v, 2 * math.pi) if name in system.periodic else v for v, name in names]


def runge_kutta(field, x, h):
    """The RK4 step of the plants."""
    k1 = field(0, x)
    k2 = field(0, [a + h / 2 * k for a, k in zip(x, k1, strict=True)])
    k3 = field(0, [a + h / 2 * k for a, k in zip(x, k2, strict=True)])
    k4 = field(0, [a + h * k for a, k in zip(x, k3, strict=True)])
    return [a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(x, k1, k2, k3, k4, strict=True)]


def adaptive(field, x, h):
    """SciPy's adaptive Runge-Kutta method, with the accuracy of the fixed step on these plants (about 1e-6).

    With SciPy's default tolerances the error is about 1e-2.
    """
    return solve_ivp(field, (0.0, h), x, rtol=1e-6, atol=1e-9).y[:, -1].tolist()


def problems(system, count):
    rng = np.random.default_rng(0)
    plans = rng.uniform(*(0.5 * system.u_bounds[0]), size=(count, system.horizon, 1))
    return sample_states(system, count), [format_completion(plan, "feedback k1=3.2 k2=2.5") for plan in plans]


def row(system):
    x0, texts = problems(system, COUNT)
    batched = score_completions(system, x0, texts)
    fast = [best_time(lambda c=c: score_completions(system, x0, texts, compiled=c)) for c in (False, True)]

    def loop(stepped, rows):
        """Seconds for `COUNT` completions, extrapolated from some rows."""
        start = time.perf_counter()
        scores = [score_one(system, x0[i], texts[i], stepped) for i in rows]
        spent = time.perf_counter() - start
        np.testing.assert_allclose(scores, batched.total[rows], rtol=1e-9 if stepped is runge_kutta else 1e-5)
        return spent / len(rows) * COUNT

    loops = [min(loop(runge_kutta, range(COUNT)) for _ in range(3)), loop(adaptive, range(0, COUNT, COUNT // 20))]
    times = [[f"{1e3 * loop:.0f}", *(f"{loop / t:.0f}" for t in fast)] for loop in loops]
    return [system.name, *(f"{1e3 * t:.1f}" for t in fast), *times[0], *times[1]]


def growth():
    """Rows of time and memory for growing batch sizes."""
    system = SYSTEMS["double_integrator"]
    x0, texts = problems(system, max(SIZES))
    rows = []
    for size in SIZES:
        a, b = x0[:size], texts[:size]
        seconds = best_time(lambda a=a, b=b: score_completions(system, a, b), 3)
        parsing = best_time(lambda b=b: parse_completions(b, system.horizon), 3)
        tracemalloc.start()
        kept = score_completions(system, a, b)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        size_kept = sum(v.nbytes for v in (kept.trajectory.x, kept.trajectory.u, kept.trajectory.u_written))
        cells = [f"{seconds:.3f}", f"{1e6 * seconds / size:.1f}", f"{parsing:.3f}"]
        rows.append([f"{size:,}", *cells, f"{size_kept / 2**20:.0f}", f"{peak / 2**20:.0f}"])
    return rows


def table():
    times = ["times numpy", "times compiled"]
    head = ["plant", "numpy [ms]", "compiled [ms]", "loop [ms]", *times, "loop with solve_ivp [ms]", *times]
    scored = tables.table(head, [row(system) for system in SYSTEMS.values() if system.m == 1])
    head = ["completions", "s", "µs each", "of which parsing [s]", "trajectories kept [MiB]", "peak [MiB]"]
    grown = tables.table(head, growth())
    return (
        f"Scoring {COUNT} completions, text to reward, one core (`python -m benchmarks.scoring`)\n\n"
        f"{scored}\n\nGrowth with the batch, double integrator\n\n{grown}"
    )


if __name__ == "__main__":
    print(table())
