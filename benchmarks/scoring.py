"""From text to reward: the batched scorer against a straightforward loop over completions.

    python -m benchmarks.scoring

Both parse, simulate and score the same texts, in one process on one core, and must agree. The loop is what one
writes first: a regular expression and `float` for the text, one step at a time for the flight, the terms of version
1.3 in plain Python.
"""

import math
import os
import re

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools

import numpy as np

from benchmarks import best_time
from control_envs import SYSTEMS, format_completion, sample_states, score_completions

COUNT = 1000


def score_one(system, x0, text):
    """Version 1.3 for one completion, step by step."""
    found = re.search(r"<CONTROLS>(.*?)</CONTROLS>", text, re.DOTALL)
    written = [float(number) for number in found.group(1).split(",")]
    (u_low, u_high), x = system.u_bounds[0], list(map(float, x0))
    u_scale, h = float(system.u_scale[0]), system.dt
    Q, R = np.diag(system.Q), float(system.R[0, 0])
    inside_box = lambda x: all(lo - 1e-6 <= v <= hi + 1e-6 for v, (lo, hi) in zip(x, system.x_bounds, strict=True))  # noqa: E731
    field = lambda x, u: system.vector_field(x, (u,), **system.params)  # noqa: E731
    squared = lambda x: [(v / s) ** 2 for v, s in zip(x, system.x_scale, strict=True)]  # noqa: E731
    distances, inside, violations, cost = [math.sqrt(sum(squared(x)))], [inside_box(x)], 0, 0.0
    for command in written:
        u = min(max(command, u_low), u_high)
        violations += command != u
        cost += sum(q * v for q, v in zip(Q, squared(x), strict=True)) + R * (u / u_scale) ** 2
        k1 = field(x, u)
        k2 = field([a + h / 2 * k for a, k in zip(x, k1, strict=True)], u)
        k3 = field([a + h / 2 * k for a, k in zip(x, k2, strict=True)], u)
        k4 = field([a + h * k for a, k in zip(x, k3, strict=True)], u)
        x = [a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(x, k1, k2, k3, k4, strict=True)]
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


def table():
    lines = [
        f"Scoring {COUNT} completions, text to reward, one core.",
        "",
        "| plant | batched | loop | loop / batched |",
        "|---|---|---|---|",
    ]
    for system in SYSTEMS.values():
        if system.m != 1:
            continue
        rng = np.random.default_rng(0)
        x0 = sample_states(system, COUNT)
        plans = rng.uniform(*(0.5 * system.u_bounds[0]), size=(COUNT, system.horizon, 1))
        texts = [format_completion(plan, "feedback k1=3.2 k2=2.5") for plan in plans]
        batched = score_completions(system, x0, texts).total
        np.testing.assert_allclose(batched, [score_one(system, x, t) for x, t in zip(x0, texts, strict=True)])
        fast = best_time(lambda s=system, x=x0, t=texts: score_completions(s, x, t))
        slow = best_time(lambda s=system, x=x0, t=texts: [score_one(s, a, b) for a, b in zip(x, t, strict=True)])
        lines.append(f"| {system.name} | {1e3 * fast:.1f} ms | {1e3 * slow:.0f} ms | {slow / fast:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
