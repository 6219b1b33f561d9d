"""Evaluation of policies: rollouts, scenarios, results, statistics, tables."""

import numpy as np
import pytest

from baselines.controllers.classical import MPCPolicy, finite_horizon_lqr_policy, lqr_policy
from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.controllers.mpc import Plan
from baselines.controllers.policy import Feedback
from baselines.controllers.text import TextPolicy
from baselines.evaluation.results import evaluate, paired_difference, to_dict
from baselines.evaluation.rollout import Scenario, rollout
from baselines.evaluation.statistics import bootstrap_interval, interquartile_mean, summarise
from baselines.evaluation.tables import paired_table, policy_table
from baselines.optimum import solver as optimum
from baselines.optimum.plan import OptimalPlan
from control_envs import (
    format_completion,
    format_prompt,
    get_system,
    measure,
    parse_completion,
    sample_states,
    score_completions,
)


@pytest.fixture
def plant():
    return get_system("double_integrator")


def writer(system, factor=1.0):
    """A text policy that writes LQR's plan for the state in its prompt."""

    def act(prompts):
        numbers = [text.split("from ")[1].split(" to the ")[0] for text in prompts]
        states = [[float(part.split("=")[1]) for part in text.split(", ")] for text in numbers]
        return [format_completion(factor * simulate_feedback(system, x, lqr(system)[0], 2).u) for x in states]

    return act


def test_texts_and_feedback_are_measured_alike(system):
    x0 = sample_states(system, 40)
    J = optimum.solve_all(system, x0).cost
    texts = [format_completion(u) for u in simulate_feedback(system, x0, lqr(system)[0], decimals=2).u]
    plans = np.array([parse_completion(t, system.horizon, system.m).controls for t in texts])
    told = evaluate(TextPolicy("text", system, lambda prompts: texts), system, x0, J)
    rolled_out = evaluate(Feedback("numbers", lambda x, k: plans[:, k]), system, x0, J)
    for name, values in rolled_out.values.items():
        np.testing.assert_array_equal(told.values[name], values, err_msg=name)
    np.testing.assert_array_equal(told.values["reward_1.3"], score_completions(system, x0, texts).total)
    assert told.controller.completions == texts


def test_a_text_without_a_plan_counts_as_one(plant):
    x0 = sample_states(plant, 40)
    J = optimum.solve_all(plant, x0).cost
    texts = [*writer(plant, 0.9)([format_prompt(plant, x) for x in x0[:-2]]), "?", "<CONTROLS>1, 2</CONTROLS>"]
    result = evaluate(TextPolicy("texts", plant, lambda prompts: texts), plant, x0, J)
    assert result.verdicts == {"ok": 38, "missing_tags": 1, "wrong_count": 1}
    assert np.isnan(result.values["cost"][-2:]).all()
    assert result.values["success"][-1] == 0.0
    assert list(result.values["reward_1.3"][-2:]) == [-10.0, -5.0]
    good = evaluate(lqr_policy(plant), plant, x0, J)
    difference = paired_difference(good, result, "reward_1.3")
    assert difference["excludes_zero"]
    assert difference["mean"] > 0
    assert paired_difference(good, result, "cost_ratio")["count"] == 38
    table = policy_table(to_dict([good, result]), skipped={"MPC": "--skip-mpc"})
    assert table.count("\n| ") == 3
    assert "95.0" in table
    assert "MPC was skipped: --skip-mpc." in table
    assert "LQR - texts" in paired_table([difference])


def test_a_text_policy_replans_from_where_it_is(plant):
    asked = []

    def act(prompts):
        asked.append(len(prompts))
        return writer(plant)(prompts)

    x0 = sample_states(plant, 8)
    often = rollout(TextPolicy("receding", plant, act, replan_every=10), plant, x0)
    assert asked == [8] * 5
    assert measure(often.trajectories).success.all()
    once = rollout(TextPolicy("once", plant, writer(plant)), plant, x0, Scenario(process_noise=0.02))
    again = rollout(TextPolicy("receding", plant, act, replan_every=1), plant, x0, Scenario(process_noise=0.02))
    assert measure(again.trajectories).cost.mean() < measure(once.trajectories).cost.mean()
    with pytest.raises(ValueError, match="replan_every"):
        TextPolicy("never", plant, act, replan_every=0)


def test_a_trajectory_without_a_plan_is_in_no_average(plant):
    def act(prompts):
        texts = writer(plant)(prompts)
        return ["no", *texts[1:]] if len(prompts) == 3 else texts

    rolled_out = rollout(TextPolicy("t", plant, act, replan_every=25), plant, sample_states(plant, 3))
    assert list(rolled_out.verdicts) == ["missing_tags", "ok", "ok"]
    assert list(rolled_out.valid) == [False, True, True]


def test_failed_solves_are_in_no_average(plant, monkeypatch):
    policy = MPCPolicy(plant)
    x0 = sample_states(plant, 3)
    real = policy._mpc.plan

    def plan(x, before=None):
        found = real(x, before)
        return Plan("failed", found.x, found.u, "") if np.allclose(x, x0[1]) else found

    monkeypatch.setattr(policy._mpc, "plan", plan)
    result = evaluate(policy, plant, x0, optimum.solve_all(plant, x0).cost)
    assert result.verdicts == {"ok": 2, "failed": 1}
    assert np.isnan(result.values["cost_ratio"][1])
    assert np.isnan(result.values["reward_1.3"][1])
    assert summarise(result.values["cost"])["count"] == 2
    assert result.values["answered"].mean() == pytest.approx(2 / 3)


def test_mpc_is_within_a_hundredth_of_the_optimum_and_nothing_is_below_it(system):
    x0 = sample_states(system, 12)
    found = optimum.solve_all(system, x0)
    for policy in (OptimalPlan(found), MPCPolicy(system), lqr_policy(system), finite_horizon_lqr_policy(system)):
        ratio = evaluate(policy, system, x0, found.cost).values["cost_ratio_kept"]
        assert np.nanmin(ratio) > 1 - 1e-7, policy.name
        if policy.name in ("MPC", "optimum J*"):
            assert np.nanmax(ratio) < 1.01


def test_infeasible_states_are_said_to_be(plant):
    hard = get_system("van_der_pol_hard")
    x0 = np.array([[0.5, 0.5], [2.0, 2.0]])
    found = optimum.solve_all(hard, x0)
    J = found.cost
    assert evaluate(OptimalPlan(found), hard, x0, J).verdicts == {"ok": 1, "infeasible": 1}
    mpc = evaluate(MPCPolicy(hard), hard, x0, J)
    assert mpc.verdicts == {"ok": 1, "soft": 1}
    assert list(mpc.values["violated"]) == [0.0, 1.0]


def test_scenarios(plant):
    x0 = sample_states(plant, 50)
    lqr_gains_text = lqr_policy(plant)
    calm = rollout(lqr_gains_text, plant, x0)
    assert calm.trajectories == rollout(lqr_gains_text, plant, x0, Scenario(), seed=5).trajectories
    noisy = Scenario("noise", process_noise=0.01, measurement_noise=0.02)
    first, again, other = (rollout(lqr_gains_text, plant, x0, noisy, seed=s).trajectories for s in (0, 0, 1))
    assert first == again
    assert first != other
    np.testing.assert_allclose(
        rollout(lqr_gains_text, plant, x0[:10], noisy).trajectories.x, first[:10].x
    )  # its own noise for each
    heavy = rollout(lqr_gains_text, plant, x0, Scenario(params={"mass": 2.0})).trajectories
    np.testing.assert_allclose(heavy.x, simulate_feedback(plant.replace(mass=2.0), x0, lqr(plant)[0]).x)
    outside = Scenario(reach=1.2).initial_states(plant, 64)
    assert np.all(np.any(np.abs(outside) > 0.8, axis=1) & np.all(np.abs(outside) <= 0.96, axis=1))
    with pytest.raises(ValueError, match="nothing to reach beyond"):
        Scenario(reach=1.2).initial_states(get_system("van_der_pol_hard"), 3)
    with pytest.raises(ValueError, match="process_noise must be a finite number of at least 0"):
        Scenario(process_noise=-1.0)
    with pytest.raises(ValueError, match="no setting 'mu'"):
        Scenario(params={"mu": 2.0}).true_plant(plant)


def test_stated_gains_are_rolled_out_exactly_beside_the_written_plan(plant):
    """A model that states LQR's gains and errs in its arithmetic: the gains earn LQR's reward, its plans earn less."""
    pytest.importorskip("torch")
    from llm_agent.data.reasoning import format_gains
    from llm_agent.evaluation.evaluate import evaluate_policies
    from llm_agent.evaluation.markdown import to_markdown

    class Model:
        def __init__(self, factor):
            self.write = writer(plant, factor)

        def act(self, prompts, **options):
            said = format_gains(lqr(plant)[0])
            return [text.replace("<REASONING>", f"<REASONING>{said}") for text in self.write(prompts)]

    report = evaluate_policies(plant, {"exact": Model(1.0), "weak": Model(0.9)}, states=30).report
    exact, weak = (report["stated_laws"][f"{name} greedy"] for name in ("exact", "weak"))
    assert exact["count"] == 30
    np.testing.assert_allclose(exact["mean"], np.round(lqr(plant)[0], 1))
    assert exact["exact"]["reward_1.3"] == pytest.approx(
        report["policies"]["LQR"]["measures"]["reward_1.3"]["mean"], abs=0.3
    )
    assert exact["written"]["reward_1.3"] == pytest.approx(exact["exact"]["reward_1.3"], abs=0.3)
    assert weak["exact"] == exact["exact"]
    assert weak["rounded"] == exact["rounded"]
    assert 0.2 < exact["exact"]["reward_1.3"] - exact["rounded"]["reward_1.3"] < 2  # rounding adds up, unanswered
    assert weak["written"]["reward_1.3"] < exact["written"]["reward_1.3"] - 1
    assert "| weak greedy" in to_markdown(report).partition("gains that the reasoning states")[2]


def test_statistics():
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert bootstrap_interval(values) == [low, high]
    assert bootstrap_interval(np.ones(5)) == [1.0, 1.0]
    summary = summarise(np.array([1.0, 2.0, 3.0, np.nan, 1000.0]))
    assert (summary["count"], summary["iqm"]) == (4, 2.5)
    assert summary["iqm_interval"][0] >= 1.0
    assert interquartile_mean(np.array([0.0, 1.0, 2.0, 99.0])) == 1.5
    assert summarise(np.array([np.nan]))["mean"] is None
