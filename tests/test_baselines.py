import numpy as np
import pytest

from baselines.evaluation import (
    bootstrap_interval,
    markdown_table,
    paired_difference,
    paired_table,
    result_of_flights,
    result_of_texts,
    summarise,
    to_dict,
)
from baselines.lqr import fly_feedback, lqr
from control_envs import format_completion, measure, sample_states, score


def test_lqr_against_python_control(system):
    control = pytest.importorskip("control")
    K, P = lqr(system)
    A, B = system.linearise()
    Q = system.Q / np.outer(system.x_scale, system.x_scale)
    R = system.R / np.outer(system.u_scale, system.u_scale)
    K_control, P_control, _ = control.dlqr(A, B, Q, R)
    np.testing.assert_allclose(K, K_control, rtol=1e-8)
    np.testing.assert_allclose(P, P_control, rtol=1e-8)


def test_lqr_cost_is_the_riccati_value():
    from control_envs import get_system

    system = get_system("double_integrator")
    K, P = lqr(system)
    x0 = np.array([0.05, -0.03])
    flight = fly_feedback(system, x0, K, horizon=600)
    assert measure(flight).cost == pytest.approx(x0 @ P @ x0, rel=1e-6)


def test_lqr_succeeds_everywhere(system):
    flights = fly_feedback(system, sample_states(system, 500), lqr(system)[0], decimals=2)
    assert measure(flights).success.all()
    assert score(flights).total.mean() > 150


def test_evaluation_of_texts_and_flights(system):
    x0 = sample_states(system, 40)
    flights = fly_feedback(system, x0, lqr(system)[0], decimals=2)
    cost = measure(flights).cost
    classical = result_of_flights("LQR", flights, cost)
    texts = [format_completion(u) for u in flights.u]
    same = result_of_texts("copy", system, x0, texts, cost)
    for name, values in classical.values.items():
        np.testing.assert_allclose(same.values[name], values, err_msg=name)
    worse = result_of_texts("worse", system, x0, [format_completion(0.9 * u) for u in flights.u[:-1]] + ["?"], cost)
    assert worse.verdicts == {"ok": 39, "missing_tags": 1}
    assert np.isnan(worse.values["cost"][-1])
    assert worse.values["success"][-1] == 0.0
    assert worse.values["reward_1.3"][-1] == -10.0
    difference = paired_difference(classical, worse, "reward_1.3")
    assert difference["mean"] > 0
    assert difference["excludes_zero"]
    assert paired_difference(classical, worse, "cost_ratio")["count"] == 39
    table = markdown_table(to_dict([classical, worse]))
    assert table.count("\n") == 3
    assert "97.5" in table
    assert "LQR - worse" in paired_table([difference])


def test_statistics():
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert bootstrap_interval(values) == [low, high]
    assert bootstrap_interval(np.ones(5)) == [1.0, 1.0]
    summary = summarise(np.array([1.0, 2.0, 3.0, np.nan, 1000.0]))
    assert (summary["count"], summary["iqm"]) == (4, 2.5)
    assert summarise(np.array([np.nan]))["mean"] is None
