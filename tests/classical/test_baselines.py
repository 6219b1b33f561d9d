"""The controllers: LQR, the optimum, the best reward, MPC."""

import numpy as np
import pytest
from scipy.optimize import minimize

from baselines.controllers.classical import finite_horizon_lqr_policy, lqr_policy
from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.controllers.mpc import MPC
from baselines.controllers.ocp import OptimalControlProblem, is_linear
from baselines.optimum import solver as optimum
from baselines.optimum.best_reward import best_rewards, falling_slopes
from control_envs import SYSTEMS, System, get_system, measure, sample_states, score, simulate
from control_envs.dynamics.riccati import finite_horizon_lqr, physical_problem

# -- LQR -----------------------------------------------------------------------------------------------------


def test_lqr_against_python_control(system):
    control = pytest.importorskip("control")
    K, P = lqr(system)
    K_control, P_control, _ = control.dlqr(*physical_problem(system))
    np.testing.assert_allclose(K, K_control, rtol=1e-8)
    np.testing.assert_allclose(P, P_control, rtol=1e-8)


def test_lqr_cost_is_the_riccati_value():
    system = get_system("double_integrator")
    K, P = lqr(system)
    x0 = np.array([0.05, -0.03])
    assert measure(simulate_feedback(system, x0, K, horizon=600)).cost == pytest.approx(x0 @ P @ x0, rel=1e-6)


def test_finite_horizon_lqr_is_optimal_where_no_bound_is_active():
    system = get_system("double_integrator")
    gains, P = finite_horizon_lqr(system)
    assert gains.shape == (system.horizon, system.m, system.n)
    x0 = np.array([0.1, -0.05])
    x, controls = x0, []
    for K in gains:
        controls.append(-K @ x)
        x = system.step(x, controls[-1])
    cost = measure(simulate(system, x0, np.array(controls))).cost
    assert cost == pytest.approx(x0 @ P @ x0, rel=1e-9)
    assert cost == pytest.approx(optimum.solve(system, x0).cost, rel=1e-7)
    np.testing.assert_allclose(finite_horizon_lqr(system, 2000)[0][0], lqr(system)[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["double_integrator", "van_der_pol"])
def test_lqr_succeeds_everywhere_on_the_default_settings(name):
    system = get_system(name)
    trajectories = simulate_feedback(system, sample_states(system, 500), lqr(system)[0], decimals=2)
    assert measure(trajectories).success.all()
    assert score(trajectories).total.mean() > 150


def test_on_the_hard_double_integrator_lqr_violates_feasible_bounds():
    system = get_system("double_integrator_hard")
    x0 = sample_states(system, 60)
    assert (measure(simulate_feedback(system, x0, lqr(system)[0])).violations > 0).mean() > 0.25
    assert set(optimum.solve_all(system, x0).status) == {"optimal"}


# -- the optimum ---------------------------------------------------------------------------------------------


def second_opinion(system, x0, start):
    """J* by another solver (SciPy's SLSQP), another transcription (single shooting), and the simulator itself."""
    shape = (system.horizon, system.m)

    def measured(flat):
        trajectory = simulate(system, x0, flat.reshape(*flat.shape[:-1], *shape))
        margins = np.stack(
            [trajectory.x[..., 1:, :] - system.x_bounds[:, 0], system.x_bounds[:, 1] - trajectory.x[..., 1:, :]]
        )
        return measure(trajectory).cost, np.moveaxis(margins, 0, -1).reshape(*flat.shape[:-1], -1)

    def slopes(flat, which):
        h = 1e-5 * np.eye(flat.size)
        ahead, behind = measured(flat + h)[which], measured(flat - h)[which]
        return ((ahead - behind) / 2e-5).T

    bounds = np.tile(system.u_bounds, (system.horizon, 1)) * (1 - 1e-4)  # room for the differences inside saturation
    found = minimize(
        lambda u: float(measured(u)[0]),
        np.clip(start.ravel(), *bounds.T),
        jac=lambda u: slopes(u, 0),
        bounds=bounds,
        constraints={"type": "ineq", "fun": lambda u: measured(u)[1], "jac": lambda u: slopes(u, 1)},
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    )
    return found.fun


def test_the_optimum_agrees_with_a_second_solver(system):
    # States whose optimal controls stay inside their bounds: SLSQP's bounds are a little narrower (see above).
    x0 = sample_states(system, 200)
    optima = optimum.solve_all(system, x0)
    u_limit = np.abs(system.u_bounds).max()
    free = np.flatnonzero(np.abs(np.nan_to_num(optima.controls, nan=np.inf)).max((1, 2)) < 0.99 * u_limit)[:3]
    assert len(free)
    for i in free:
        cost = second_opinion(system, x0[i], simulate_feedback(system, x0[i], lqr(system)[0]).u)
        assert optima.cost[i] == pytest.approx(cost, rel=1e-6)


def test_two_solvers_agree_where_controls_saturate(system):
    x0 = sample_states(system, 30)
    fatrop = OptimalControlProblem(system, solver="fatrop")
    K, _ = lqr(system)
    for start in x0:
        ipopt, other = optimum.solve(system, start), fatrop.solve(start, _guess(simulate_feedback(system, start, K)))
        assert (ipopt.status == "optimal") == other.solved
        if other.solved:
            cost = measure(simulate(system, start, other.u)).cost
            assert ipopt.cost == pytest.approx(float(cost), rel=1e-6)


def _guess(trajectory):
    return trajectory.x, trajectory.u


def test_no_plan_that_keeps_the_bounds_beats_the_optimum(system):
    x0 = sample_states(system, 100)
    cost = optimum.solve_all(system, x0).cost
    for gain in (0.6, 1.0, 1.5):
        metrics = measure(simulate_feedback(system, x0, gain * lqr(system)[0]))
        ratio = (metrics.cost / cost)[metrics.violations == 0]
        assert np.nanmin(ratio) > 1 - 1e-7


def test_an_optimum_has_a_status(monkeypatch, tmp_path):
    system = get_system("van_der_pol_hard")
    corner = optimum.solve(system, [2.0, 2.0])
    assert corner.status == "infeasible"
    assert np.isnan(corner.cost)
    assert np.all(np.isnan(corner.controls))
    inside = optimum.solve(system, [0.5, 0.5])
    assert inside.status == "optimal"
    assert measure(simulate(system, [0.5, 0.5], inside.controls)).cost == inside.cost
    assert (inside.controls.shape, inside.states.shape) == ((100, 1), (101, 2))
    with pytest.raises(ValueError, match="2 finite numbers"):
        optimum.solve(system, [0.5])
    monkeypatch.setenv("CONTROL_GRPO_CACHE", str(tmp_path))
    x0 = np.array([[0.5, 0.5], [2.0, 2.0]])
    first = optimum.solve_all(system, x0)
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(optimum, "_solve_each", None)  # a second call reads, and computes nothing
    again = optimum.solve_all(system, x0)
    np.testing.assert_array_equal(again.controls, first.controls)
    assert list(again.status) == ["optimal", "infeasible"]
    monkeypatch.undo()
    monkeypatch.setenv("CONTROL_GRPO_CACHE", str(tmp_path))
    kept.write_bytes(b"half a file")
    assert optimum.solve_all(system, x0).cost[0] == inside.cost
    optimum.solve_all(system.replace(mu=1.1), x0)
    optimum.solve_all(system, x0[:1])
    assert len(list(tmp_path.iterdir())) == 3


def test_the_best_reward_is_beaten_by_none(system):
    x0 = sample_states(system, 6)
    best = best_rewards(system, x0, cache=False)
    feasible = optimum.solve_all(system, x0).status == "optimal"
    assert np.array_equal(np.isfinite(best), feasible)
    for gain in (0.4, 0.6, 0.8, 1.0):
        trajectories = simulate_feedback(system, x0, gain * lqr(system)[0])
        keeps = feasible & (measure(trajectories).violations == 0)
        assert np.all(score(trajectories).total[keeps] < best[keeps])
    assert np.nanmax(best) < 163


def test_slopes_are_the_rewards_own():
    system = get_system("double_integrator")
    metrics = measure(simulate_feedback(system, [0.4, -0.2], lqr(system)[0]))
    slopes = falling_slopes(metrics, "1.3")
    assert slopes[0] == pytest.approx(30 * np.exp(-2 * metrics.mean_distance), rel=1e-5)
    assert slopes[3] == pytest.approx(10 * np.exp(-metrics.effort), rel=1e-5)


# -- MPC -----------------------------------------------------------------------------------------------------


def test_unconstrained_mpc_with_the_riccati_cost_is_lqr():
    for name in (name for name, system in SYSTEMS.items() if is_linear(system)):
        system = get_system(name)
        K, _ = lqr(system)
        mpc = MPC(system, horizon=20, bounded=False)
        for x in sample_states(system, 20):
            np.testing.assert_allclose(mpc.plan(x).u[0], -K @ x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", ["auto", "ipopt", "fatrop", "sqpmethod"])
def test_mpc_solvers_agree(system, solver):
    x = 0.4 * system.x0_bounds[:, 1]
    plan = MPC(system, solver=solver).plan(x)
    assert plan.status == "solved"
    np.testing.assert_allclose(plan.u[0], MPC(system, solver="ipopt").plan(x).u[0], atol=1e-5)
    np.testing.assert_allclose(plan.x, simulate(system, x, plan.u).x, atol=1e-6)


def test_mpc_softens_bounds_only_where_it_must():
    system = get_system("van_der_pol_hard")
    mpc = MPC(system)
    assert mpc.plan([0.5, 0.5]).status == "solved"
    plan = mpc.plan([2.0, 2.0])
    assert plan.status == "soft"
    assert np.all(np.abs(plan.u) <= 2.0 + 1e-6)


def test_a_failed_solve_is_said_to_have_failed(monkeypatch):
    system = get_system("van_der_pol")
    mpc = MPC(system)
    for problem in (mpc._hard, mpc._soft):
        monkeypatch.setattr(problem, "solve", lambda x, guess=None: mpc._soft._failed("Maximum_Iterations_Exceeded"))
    plan = mpc.plan([1.0, 1.0])
    assert plan.status == "failed"
    assert np.all(np.isnan(plan.u))
    with pytest.raises(RuntimeError, match=r"no control at x = .*Maximum_Iterations"):
        mpc([1.0, 1.0])


def test_mpc_options_are_checked():
    system = get_system("van_der_pol")
    with pytest.raises(ValueError, match="not linear: give sqpmethod"):
        MPC(system, solver="hpipm")
    with pytest.raises(ValueError, match="no solver 'gurobi_of_sorts'"):
        MPC(system, solver="gurobi_of_sorts")
    with pytest.raises(ValueError, match="terminal must be 'riccati'"):
        MPC(system, terminal="none")
    with pytest.raises(ValueError, match=r"finite \(2, 2\) matrix"):
        MPC(system, terminal=[[1.0]])
    identity = MPC(system, horizon=5, terminal=np.eye(2))
    assert identity.plan([0.3, 0.3]).x.shape == (6, 2)
    assert identity([0.3, 0.3]).shape == (1,)


def test_several_controls_and_one_step():
    """Shapes hold for a plant with two controls, and for a horizon of one."""
    system = System(
        name="two_masses",
        title="two masses",
        equation="x1' = u1, x2' = u2",
        state_names=("a", "b"),
        control_names=("u1", "u2"),
        vector_field=lambda x, u, xp=None: (u[0], u[1]),
        x_bounds=1.0,
        u_bounds=1.0,
        x0_bounds=0.5,
        horizon=8,
    )
    x0 = sample_states(system, 4)
    assert np.all(optimum.solve_all(system, x0, cache=False).status == "optimal")
    assert np.all(np.isfinite(best_rewards(system, x0, cache=False)))
    assert MPC(system)(x0[0]).shape == (2,)
    short = system.replace(horizon=1)
    assert optimum.solve(short, x0[0]).controls.shape == (1, 2)
    assert np.isfinite(best_rewards(short, x0[:1], cache=False)).all()


def test_a_state_that_is_no_number_never_reaches_a_solver(capfd):
    for name in ("double_integrator", "van_der_pol"):
        controller = MPC(get_system(name))
        for state in ([np.nan, 0.0], [0.0, np.inf], [0.1]):
            with pytest.raises(ValueError, match="the state must be 2 finite numbers"):
                controller.plan(state)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("solver", ["hpipm", "osqp", "highs", "qrqp", "qpoases", "superscs", "qrsqp"])
def test_solvers_are_silent(solver, capfd):
    casadi = pytest.importorskip("casadi")
    if not (casadi.has_conic(solver) or casadi.has_nlpsol(solver)):
        pytest.skip(f"CasADi has no {solver} here")
    capfd.readouterr()  # what CasADi says of plugins that are not there
    assert MPC(get_system("double_integrator"), horizon=10, solver=solver).plan([0.5, -0.2]).status != "failed"
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_a_solver_that_refuses_the_problem_is_named():
    with pytest.raises(ValueError, match=r"solver 'clp' refuses this problem: Not an LP|no solver 'clp'"):
        MPC(get_system("double_integrator"), solver="clp")


@pytest.mark.filterwarnings("error")
def test_a_state_from_which_the_plant_diverges_has_no_optimum():
    """LQR's trajectory from there, where the solver starts, leaves every bound."""
    found = optimum.solve(get_system("van_der_pol_hard"), [100.0, 100.0])
    assert found.status in ("infeasible", "failed")
    assert np.isnan(found.cost)
    with pytest.raises(ValueError, match=r"x0 must lie within 1e\+06 times the bounds"):
        optimum.solve(get_system("van_der_pol_hard"), [1e300, 0.0])


DOUBLE_INTEGRATOR = get_system("double_integrator")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: MPC(DOUBLE_INTEGRATOR, horizon=0), "horizon must be a whole number of at least 1"),
        (lambda: MPC(DOUBLE_INTEGRATOR, terminal=[["a"]]), "terminal must be numbers"),
        (lambda: MPC(DOUBLE_INTEGRATOR).plan("abc"), "the state must be numbers, not 'abc'"),
        (lambda: lqr_policy(DOUBLE_INTEGRATOR).start([]).control([[np.nan, 0.0]], 0), "the state must be 2 finite"),
        (lambda: lqr_policy(DOUBLE_INTEGRATOR).start([]).control("abc", 0), "the state must be numbers"),
        (lambda: finite_horizon_lqr_policy(DOUBLE_INTEGRATOR).start([]).control([[np.nan, 0.0]], 0), "the state must"),
        (lambda: simulate_feedback(DOUBLE_INTEGRATOR, [np.nan, 0.0], [[1.0, 1.0]]), "x0 must be 2 finite"),
        (lambda: simulate_feedback(DOUBLE_INTEGRATOR, [0.0, 0.0], "abc"), "K must be numbers"),
        (lambda: optimum.solve(DOUBLE_INTEGRATOR, "abc"), "x0 must be numbers"),
        *((lambda f=f: f(None), "system must be a plant's name or a System, not None") for f in (MPC, lqr, lqr_policy)),
        (lambda: optimum.solve(None, [0.0, 0.0]), "system must be"),
        (lambda: finite_horizon_lqr_policy(None), "system must be"),
    ],
)
def test_bad_arguments_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_solvers_are_silent_where_they_fail(capfd):
    for name in ("double_integrator", "van_der_pol"):
        MPC(get_system(name)).plan([1e5, -1e5])
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
