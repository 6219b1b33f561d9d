"""How run time grows with the batch, the horizon, the number of initial states and of processes; a figure and a table.

    python -m benchmarks.growth [--picture docs/pictures/growth.png]

About a minute on two cores.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks import best_time
from benchmarks.scoring import problems
from control_envs import get_system, score_completions
from control_envs.utils import tables
from control_envs.utils.commands import Parser

BATCHES = (1, 10, 100, 1_000, 10_000, 50_000)
HORIZONS = (5, 10, 50, 100, 500)
STATES = (5, 20, 80)
PROCESSES = (1, 2, 4)


def scoring(count, horizon=50):
    system = get_system("van_der_pol", horizon=horizon)
    x0, texts = problems(system, count)
    return best_time(lambda: score_completions(system, x0, texts), 3)


def comparing(count):
    """Seconds of rollouts of MPC from that many initial states."""
    from baselines.controllers.classical import MPCPolicy
    from baselines.evaluation.rollout import rollout
    from control_envs import sample_states

    system = get_system("van_der_pol")
    policy = MPCPolicy(system)
    return best_time(lambda: rollout(policy, system, sample_states(system, count)), 1)


def _score_for(seconds):
    """Completions per second that one process scores, measured for ``seconds``."""
    system = get_system("van_der_pol")
    x0, texts = problems(system, 1000)
    score_completions(system, x0, texts)
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        score_completions(system, x0, texts)
        done += len(texts)
    return done / seconds


def processes(count):
    """Completions per second that ``count`` processes score together."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_score_for, [3.0] * count))


def measure():
    return {
        "scoring a batch of so many completions [s]": {n: scoring(n) for n in BATCHES},
        "scoring 1,000 completions of so many controls [s]": {h: scoring(1000, h) for h in HORIZONS},
        "MPC from so many states [s]": {n: comparing(n) for n in STATES},
        "completions a second by so many processes": {n: processes(n) for n in PROCESSES},
    }


def draw(found, path):
    from baselines.figures.comparison import new_figure

    figure = new_figure(9, 6)
    for axes, (title, curve) in zip(figure.subplots(2, 2).ravel(), found.items(), strict=True):
        x, y = np.array(list(curve.items())).T
        axes.loglog(x, y, "o-", color="#0072B2", label="measured")
        axes.loglog(x, y[-1] * x / x[-1] if "a second" not in title else y[0] * x, "--", color="0.6", label="linear")
        axes.set_xticks(x, [f"{value:,.0f}" for value in x])
        axes.xaxis.minorticks_off()
        axes.set_title(title, fontsize="medium")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path)


def table(found=None):
    rows = []
    for title, curve in (found or measure()).items():
        per = [value / n for n, value in curve.items()]
        what = "times one process" if "a second" in title else "of linear growth"
        last = per[-1] / per[0] * PROCESSES[-1] if "a second" in title else per[-1] / per[-2]
        values = ", ".join(f"{n:,}: {value:.3g}" for n, value in curve.items())
        rows.append([title, values, f"{last:.2f} {what}"])
    head = f"Growth, Van der Pol, one core a process of {os.cpu_count()} (`python -m benchmarks.growth`)"
    return f"{head}\n\n{tables.table(['what', 'measured', 'last step'], rows)}"


if __name__ == "__main__":
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--picture", type=Path, default=None)
    args = parser.parse_args()
    measured = measure()
    if args.picture:
        draw(measured, args.picture)
    print(table(measured))
