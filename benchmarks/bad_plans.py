"""How well each reward version distinguishes bad plans: groups of 16 from one initial state, as in GRPO.

    python -m benchmarks.bad_plans

"Noise" draws each control uniformly from its whole range; "pushes" draws one control and keeps it for the whole
trajectory. "Largest" is the largest advantage of a group in its standard deviations, the median over groups. "Rank" is
Spearman's correlation of the reward with -J within a group, the mean over groups; groups of equal rewards count as 0.
Nothing is trained: an untrained policy would have to learn from these rewards.
"""

import numpy as np
from scipy.stats import spearmanr

from control_envs import REWARDS, SYSTEMS, measure, sample_states, score, simulate
from control_envs.utils import tables

GROUPS, SIZE = 200, 16


def groups(system, kind):
    """Trajectories (GROUPS, SIZE) of bad plans."""
    rng = np.random.default_rng(0)
    x0 = sample_states(system, GROUPS)[:, None]
    times = system.horizon if kind == "noise" else 1
    u = rng.uniform(*system.u_bounds.T, size=(GROUPS, SIZE, times, system.m))
    return simulate(system, x0, np.broadcast_to(u, (GROUPS, SIZE, system.horizon, system.m)))


def rank(rewards, cost):
    """Mean Spearman correlation within groups; 0 for a group of equal rewards."""
    equal = np.ptp(rewards, axis=1) == 0
    return np.mean([0 if e else spearmanr(r, -c).statistic for e, r, c in zip(equal, rewards, cost, strict=True)])


def rows(system, kind):
    metrics = measure(groups(system, kind))
    for version, spec in REWARDS.items():
        rewards = score(metrics, version).total
        least, most = rewards.min(), rewards.max()
        floor = "" if spec.floor is None else f"{np.mean(rewards <= spec.floor):.0%}"
        spread = np.median(rewards.std(axis=1))
        largest = np.median(np.abs(rewards - rewards.mean(1, keepdims=True)).max(1) / rewards.std(1))
        cells = [f"{least:.0f} to {most:.0f}", floor, f"{spread:.1f}", f"{largest:.2f}"]
        yield [system.name, kind, version, *cells, f"{rank(rewards, metrics.cost):.2f}"]


def table():
    head = ["plant", "plans", "reward", "range", "at the floor", "deviation in a group", "largest", "rank"]
    cases = [(SYSTEMS[name], kind) for name in ("double_integrator", "van_der_pol") for kind in ("noise", "pushes")]
    found = [row for case in cases for row in rows(*case)]
    return f"{GROUPS} groups of {SIZE} bad plans (`python -m benchmarks.bad_plans`)\n\n{tables.table(head, found)}"


if __name__ == "__main__":
    print(table())
