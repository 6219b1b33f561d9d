"""MPC against do-mpc: the same optimal control problems in closed loop, in one process.

    python -m benchmarks.mpc                # needs the `bench` extra: pip install 'control-grpo[bench]'

Both solve min sum x'Qx + u'Ru + x_N'P x_N over the same horizon with the same RK4 step and bounds, from the same
initial states, and apply the first control. do-mpc is set up as in its manual (IPOPT, its own warm start), with a
discrete-time model, so that it does not integrate either.
"""

import time
import warnings
from importlib.util import find_spec

import numpy as np

from baselines.controllers.lqr import lqr
from baselines.controllers.mpc import MPC
from control_envs import SYSTEMS, measure, sample_states, simulate
from control_envs.utils import tables

TRAJECTORIES = 5


def do_mpc_controller(system, horizon):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import do_mpc

    model = do_mpc.model.Model("discrete", "SX")
    x = model.set_variable("_x", "x", shape=(system.n, 1))
    u = model.set_variable("_u", "u", shape=(system.m, 1))
    import casadi as ca

    after = system.rk4([x[i] for i in range(system.n)], [u[i] for i in range(system.m)], ca)
    model.set_rhs("x", ca.vertcat(*after))
    model.setup()
    mpc = do_mpc.controller.MPC(model)
    mpc.settings.n_horizon, mpc.settings.t_step, mpc.settings.store_full_solution = horizon, system.dt, False
    mpc.settings.supress_ipopt_output()
    Q = system.Q / np.outer(system.x_scale, system.x_scale)
    R = system.R / np.outer(system.u_scale, system.u_scale)
    mpc.set_objective(mterm=ca.bilin(lqr(system)[1], x, x), lterm=ca.bilin(Q, x, x) + ca.bilin(R, u, u))
    mpc.set_rterm(u=0.0)
    for side, column in (("lower", 0), ("upper", 1)):
        mpc.bounds[side, "_x", "x"] = system.x_bounds[:, column]
        mpc.bounds[side, "_u", "u"] = system.u_bounds[:, column]
    mpc.setup()
    return mpc


def rollout(system, x0, start, control):
    """One closed loop; returns its controls and the seconds spent on them."""
    start(x0)
    x, controls, seconds = x0, [], 0.0
    for _ in range(system.horizon):
        began = time.perf_counter()
        u = control(x)
        seconds += time.perf_counter() - began
        controls.append(u)
        x = system.step(x, system.saturate(u))
    return np.array(controls), seconds


def controllers(system):
    ours, theirs = MPC(system), do_mpc_controller(system, MPC(system).horizon)
    plans = {}

    def begin(x0):
        plans["last"] = None

    def plan(x):
        plans["last"] = ours.plan(x, plans["last"])
        return plans["last"].u[0]

    def reset(x0):
        theirs.reset_history()
        theirs.x0 = x0
        theirs.set_initial_guess()

    return {"do-mpc": (reset, lambda x: theirs.make_step(x.reshape(-1, 1)).ravel()), "ours": (begin, plan)}


def row(system):
    x0 = 0.9 * sample_states(system, TRAJECTORIES)  # inside the box, where hard bounds are feasible
    seconds, cost = {}, {}
    for name, (start, control) in controllers(system).items():
        rollout(system, x0[0], start, control)  # warm up
        rolled_out = [rollout(system, x, start, control) for x in x0]
        seconds[name] = sum(s for _, s in rolled_out) / (TRAJECTORIES * system.horizon)
        cost[name] = measure(simulate(system, x0, np.array([u for u, _ in rolled_out]))).cost
    difference = np.max(np.abs(cost["ours"] / cost["do-mpc"] - 1))
    cells = [f"{1e3 * seconds['do-mpc']:.2f}", f"{1e3 * seconds['ours']:.3f}"]
    cells += [f"{seconds['do-mpc'] / seconds['ours']:.0f}", *(f"{cost[name].mean():.5f}" for name in cost)]
    return [system.name, *cells, f"{difference:.0e}"]


def table():
    if find_spec("do_mpc") is None:
        return "MPC against do-mpc: skipped, since do-mpc is not installed (pip install 'control-grpo[bench]')"
    head = ["plant", "do-mpc [ms]", "ours [ms]", "times faster", "mean J, do-mpc", "mean J, ours", "costs apart"]
    rows = [row(system) for system in SYSTEMS.values()]
    title = f"A solve of MPC in closed loop from {TRAJECTORIES} states, one process (`python -m benchmarks.mpc`)"
    return f"{title}\n\n{tables.table(head, rows)}"


if __name__ == "__main__":
    print(table())
