"""Steps of many numeric environments: batched, one by one, and Gymnasium's batched CartPole.

The floor is the Runge-Kutta step in numpy alone, without spaces, metrics, rewards or resets. Compiled loops
(``compiled=True``, the extra ``fast``) are compiled before they are timed.

python -m benchmarks.stepping
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time

import gymnasium as gym
import numpy as np

from control_envs import SYSTEMS, env_id
from control_envs.utils import tables

COUNT = 1024
CARTPOLE = "CartPole-v1"


def step_time(name, mode, steps, repeats=5, **settings):
    """Minimum seconds per step of all environments, over whole trajectories, so that resets are included."""
    envs = gym.make_vec(name, num_envs=COUNT, vectorization_mode=mode, **settings)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    actions = envs.action_space.sample()
    envs.step(actions)  # compiles
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(steps):
            envs.step(actions)
        best = min(best, (time.perf_counter() - start) / steps)
    envs.close()
    return best


def floor_time(system, repeats=2000):
    """Minimum seconds of the plant's step for `COUNT` states."""
    x = tuple(np.random.default_rng(0).uniform(-1, 1, (system.n, COUNT)))
    u = tuple(np.zeros((system.m, COUNT)))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        system.advance(x, u)
        times.append(time.perf_counter() - start)
    return min(times)


def table():
    peer = step_time(CARTPOLE, "vector_entry_point", 500)
    rows = [[f"{CARTPOLE} (Gymnasium)", f"{1e6 * peer:.0f}", f"{COUNT / peer:,.0f}", "", "1.00", "", ""]]
    for name, system in SYSTEMS.items():
        trajectory = system.horizon + 1
        fast = step_time(env_id(name), "vector_entry_point", 8 * trajectory)
        compiled = step_time(env_id(name), "vector_entry_point", 8 * trajectory, compiled=True)
        slow = step_time(env_id(name), "sync", trajectory, 1)
        cells = [f"{1e6 * fast:.0f}", f"{COUNT / fast:,.0f}", f"{slow / fast:.0f}", f"{fast / peer:.2f}"]
        cells.append(f"{compiled / peer:.2f}")
        cells.append(f"{floor_time(system) / peer:.2f}")
        rows.append([env_id(name), *cells])
    head = [
        "batched environment",
        "µs a step",
        "environment steps a second",
        "times SyncVectorEnv",
        "of CartPole's time",
        "compiled",
        "floor",
    ]
    return f"{COUNT} environments, one core (`python -m benchmarks.stepping`)\n\n{tables.table(head, rows)}"


if __name__ == "__main__":
    print(table())
