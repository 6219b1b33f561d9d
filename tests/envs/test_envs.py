import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import REWARDS, SYSTEMS, env_id, format_completion, format_prompt, score, simulate
from control_envs.envs import TextControlEnv

NUMERIC, TEXT = [env_id(name) for name in SYSTEMS], [env_id(name, text=True) for name in SYSTEMS]


def random_plan(system, seed=0):
    shape = (system.horizon, system.m)
    return np.round(np.random.default_rng(seed).uniform(*(1.2 * system.u_bounds.T), size=shape), 2)


def test_ids():
    assert {"DoubleIntegrator-v0", "VanDerPol-v0"} <= set(NUMERIC)
    assert {"DoubleIntegratorText-v0", "VanDerPolText-v0"} <= set(TEXT)
    assert gym.make("control_envs:DoubleIntegratorText-v0").spec.id == "DoubleIntegratorText-v0"


@pytest.mark.parametrize("name", NUMERIC + TEXT)
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_check_env_without_warnings(name, render_mode):
    if render_mode:
        pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name, render_mode=render_mode).unwrapped)


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("version", REWARDS)
def test_return_equals_trajectory_score(name, version):
    env = gym.make(name, reward_version=version)
    for seed in range(3):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        total, done = 0.0, False
        while not done:
            _, reward, done, truncated, info = env.step(1.1 * env.action_space.sample())
            total += reward
            assert not truncated
        assert total == pytest.approx(float(score(info["trajectory"], version).total), abs=1e-9)
        assert info["trajectory"].horizon == env.unwrapped.system.horizon


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("version", REWARDS)
def test_text_step_plays_the_whole_plan(name, version):
    env = gym.make(name, reward_version=version)
    system = env.unwrapped.system
    prompt, info = env.reset(seed=1)
    assert prompt == format_prompt(system, info["x0"])
    plan = random_plan(system)
    _, reward, terminated, truncated, info = env.step(format_completion(plan))
    trajectory = simulate(system, info["x0"], plan)
    assert (terminated, truncated, info["verdict"]) == (True, False, "ok")
    assert np.array_equal(info["parsed_controls"], plan)
    assert info["trajectory"] == trajectory
    assert reward == pytest.approx(float(score(trajectory, version).total), abs=1e-9)
    assert sum(info["reward_terms"].values()) == pytest.approx(float(sum(score(trajectory, version).terms.values())))
    assert set(info["metrics"]) >= {"cost", "success", "final_error"}
    assert all(isinstance(v, float) for v in (info["reward_terms"] | info["metrics"]).values())


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize(
    ("text", "verdict", "reward"),
    [("", "missing_tags", -10), ("<CONTROLS>1, 2</CONTROLS>", "wrong_count", -5), ("\ud800\x00", "missing_tags", -10)],
)
def test_a_text_without_a_plan(name, text, verdict, reward):
    env = gym.make(name)
    env.reset(seed=0)
    _, got, terminated, truncated, info = env.step(text)
    assert (got, terminated, truncated, info["verdict"]) == (reward, True, False, verdict)
    assert info["parsed_controls"] is None
    assert sum(info["reward_terms"].values()) == reward


@pytest.mark.parametrize("name", TEXT)
def test_replanning_with_feedback_is_feedback(name):
    """One control of each plan: LQR that replans from each state in the prompt is the closed loop."""
    env = gym.make(name, replan_every=1)
    system = env.unwrapped.system
    K, _ = lqr(system)
    prompt, info = env.reset(seed=3)
    total, done, steps = 0.0, False, 0
    while not done:
        x = np.array([float(prompt.partition(f"{n}=")[2].split(",")[0].split(" ")[0]) for n in system.state_names])
        prompt, reward, done, _, info = env.step(format_completion(simulate_feedback(system, x, K, decimals=2).u))
        total, steps = total + reward, steps + 1
    assert steps == system.horizon
    closed_loop = simulate_feedback(system, info["x0"], K, decimals=2)
    np.testing.assert_allclose(info["trajectory"].x, closed_loop.x, atol=1e-12)
    assert total == pytest.approx(float(score(closed_loop).total), abs=1e-9)


def test_replanning_in_pieces_that_do_not_divide_the_horizon():
    env = gym.make("DoubleIntegratorText-v0", replan_every=20)
    env.reset(seed=0)
    ends = [env.step(format_completion(np.zeros((50, 1))))[2] for _ in range(3)]
    assert ends == [False, False, True]


def test_a_text_without_a_plan_while_replanning_gets_its_own_score():
    env = gym.make("DoubleIntegratorText-v0", replan_every=10)
    env.reset(seed=0)
    first = env.step(format_completion(np.zeros((50, 1))))[1]
    _, second, terminated, _, _ = env.step("?")
    assert terminated
    assert first + second == pytest.approx(-10)


@pytest.mark.parametrize("name", NUMERIC + TEXT)
def test_seeded_rollouts_repeat_bit_for_bit(name):
    def roll():
        env = gym.make(name)
        system = env.unwrapped.system
        seen = [env.reset(seed=7)[0]]
        plan = random_plan(system)
        actions = [format_completion(plan)] if name in TEXT else [env.unwrapped.to_action(u) for u in plan]
        for action in actions:
            observation, reward, *_ = env.step(action)
            seen += [observation, reward]
        return [np.asarray(v).tobytes() for v in seen]

    assert roll() == roll()


@pytest.mark.parametrize("name", NUMERIC + TEXT)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_make_vec(name, mode):
    single = [gym.make(name).reset(seed=5 + i)[0] for i in range(2)]
    envs = gym.make_vec(name, num_envs=2, vectorization_mode=mode)
    try:
        observations, _ = envs.reset(seed=5)
        assert [np.asarray(o).tolist() for o in observations] == [np.asarray(o).tolist() for o in single]
        system = SYSTEMS[next(s for s in SYSTEMS if name in (env_id(s), env_id(s, text=True)))]
        good = format_completion(np.zeros((system.horizon, system.m)))
        actions = (good, "no") if name in TEXT else np.zeros((2, system.m))
        observations, rewards, terminated, _, infos = envs.step(actions)
        assert np.all(np.isfinite(rewards))
        if name in TEXT:
            assert terminated.all()
            assert list(infos["verdict"]) == ["ok", "missing_tags"]
            assert all(o.startswith("Control ") for o in observations)
    finally:
        envs.close()


def test_action_units():
    normalized = gym.make("DoubleIntegrator-v0")
    physical = gym.make("DoubleIntegrator-v0", action_units="physical")
    options = {"x0": [0.5, -0.25]}
    normalized.reset(options=options)
    physical.reset(options=options)
    u = np.array([1.2])
    a, b = normalized.step(u / 3.0), physical.step(u)
    np.testing.assert_allclose(a[0], b[0])
    assert physical.action_space.high == 3.0
    assert normalized.unwrapped.to_action(u) == pytest.approx(0.4)


def test_reset_options_and_settings():
    env = gym.make("VanDerPolText-v0", mu=2.0, horizon=10, dt=0.05, precision=1, x0_bounds=0.5)
    prompt, info = env.reset(options={"x0": [0.123456, -1.0]})
    assert "position=0.123456, velocity=-1.0 " in prompt
    assert "mu = 2" in prompt
    assert info["x0"].tolist() == [0.123456, -1.0]
    _, info = env.reset(seed=0)
    assert np.abs(info["x0"]).max() <= 0.5
    assert np.array_equal(np.round(info["x0"], 1), info["x0"])


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"reward_version": "1.4"}, "no reward version '1.4'"),
        ({"render_mode": "human3d"}, "render_mode"),
        ({"horizont": 3}, "Did you mean horizon"),
        ({"replan_every": 0}, "replan_every"),
        ({"precision": -1}, "precision"),
        ({"precision": "a"}, "precision must be a whole number"),
        ({"replan_every": "a"}, "replan_every must be a whole number of at least 1, not 'a'"),
        ({"horizon": "a"}, "horizon must be a whole number"),
    ],
)
def test_bad_arguments(kwargs, said):
    with pytest.raises(ValueError, match=said):
        TextControlEnv("double_integrator", **kwargs)


@pytest.mark.parametrize("x0", [[0.0], [0.0, float("nan")], [2.0, 0.0], "here"])
def test_bad_initial_states(x0):
    with pytest.raises(ValueError, match=r"options\['x0'\]|could not convert"):
        gym.make("DoubleIntegrator-v0").reset(options={"x0": x0})


def test_bad_actions():
    env = gym.make("DoubleIntegrator-v0").unwrapped
    env.reset(seed=0)
    for action in ([0.0, 0.0], [float("nan")]):
        with pytest.raises(ValueError, match="an action must be 1 finite"):
            env.step(action)
    for action in ("abc", ["0.1"], None, [True]):
        with pytest.raises(ValueError, match="an action must be numbers, not"):
            env.step(action)


def test_a_finished_episode_needs_a_reset():
    env = gym.make("DoubleIntegratorText-v0").unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step("x")
    env.reset(seed=0)
    env.step(format_completion(np.zeros((50, 1))))
    with pytest.raises(gym.error.ResetNeeded):
        env.step(format_completion(np.zeros((50, 1))))


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"x0": "abc"}, r"options\['x0'\] must be 2 finite numbers .*not 'abc'"),
        ({"x0": [0.1, None]}, r"options\['x0'\] must be 2 finite numbers"),
        ({"X0": [0.1, 0.1]}, "no option 'X0'. It has x0"),
        ([0.1, 0.1], "options must be a dictionary"),
    ],
)
def test_options_of_reset_are_checked_by_name(text, options, said):
    env = gym.make(env_id("double_integrator", text=text), disable_env_checker=True).unwrapped
    with pytest.raises(ValueError, match=said):
        env.reset(options=options)


@pytest.mark.parametrize("name", ["foo", "vector_field", "title", "name", "param_ranges"])
def test_an_unknown_setting_is_answered_with_settings_alone(name):
    with pytest.raises(ValueError, match=f"has no setting '{name}'") as refused:
        gym.make("VanDerPol-v0", **{name: 1})
    said = str(refused.value)
    assert not any(internal in said.partition(name)[2] for internal in ("vector_field", "title", "equation", "ranges"))
