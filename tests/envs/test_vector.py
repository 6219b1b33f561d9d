"""The batched environments against the single ones."""

import gymnasium as gym
import numpy as np
import pytest

from control_envs import REWARDS, SYSTEMS, env_id, measure, score, simulate
from control_envs.envs import ControlEnv
from control_envs.envs.vector import BatchedControlEnv


@pytest.mark.parametrize("version", REWARDS)
def test_a_batch_is_its_environments_alone(system, version):
    rng = np.random.default_rng(0)
    batch = BatchedControlEnv(3, system, reward_version=version)
    low, high = system.x_bounds.T
    x0 = rng.uniform(low, high, (3, system.n))
    x0[0] = 0.0
    alone = [ControlEnv(system, version) for _ in range(3)]
    observation, _ = batch.reset(options={"x0": x0})
    np.testing.assert_array_equal(
        observation, [env.reset(options={"x0": x})[0] for env, x in zip(alone, x0, strict=True)]
    )
    for k in range(system.horizon):
        actions = rng.uniform(-1.3, 1.3, (3, system.m))
        observation, reward, terminated, truncated, infos = batch.step(actions)
        steps = [env.step(action) for env, action in zip(alone, actions, strict=True)]
        np.testing.assert_allclose(observation, [s[0] for s in steps], rtol=1e-12)
        np.testing.assert_allclose(reward, [s[1] for s in steps], rtol=1e-9, atol=1e-9)
        assert terminated.tolist() == [s[2] for s in steps] == [k == system.horizon - 1] * 3
        assert not truncated.any()
    for i, (*_, info) in enumerate(steps):
        for name, value in info["metrics"].items():
            assert infos["metrics"][name][i] == pytest.approx(value, rel=1e-9, abs=1e-12), name
        for name, value in info["reward_terms"].items():
            assert infos["reward_terms"][name][i] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_make_vec_gives_the_batch_and_starts_anew():
    for name in SYSTEMS:
        envs = gym.make_vec(env_id(name), num_envs=4, vectorization_mode="vector_entry_point", reward_version="1.2")
        assert isinstance(envs.unwrapped, BatchedControlEnv)
        first, _ = envs.reset(seed=3)
        again, _ = envs.reset(seed=3)
        assert np.array_equal(first, again)
        assert envs.observation_space.contains(first)
        envs.action_space.seed(0)
        horizon = envs.unwrapped.system.horizon
        returns, controls = np.zeros(4), []
        for _ in range(horizon):
            actions = envs.action_space.sample()
            controls.append(envs.unwrapped._to_control(actions))
            _, reward, terminated, _, _ = envs.step(actions)
            returns += reward
        assert terminated.all()
        trajectories = simulate(envs.unwrapped.system, first, np.stack(controls, axis=1))
        np.testing.assert_allclose(returns, score(trajectories, "1.2").total)
        fresh, reward, terminated, _, _ = envs.step(envs.action_space.sample())
        assert not terminated.any()
        assert not reward.any()
        assert not np.array_equal(fresh, first)
    assert isinstance(gym.make_vec(env_id(name), num_envs=2), gym.vector.VectorEnv)


def test_a_diverged_trajectory_is_clamped_as_in_the_simulator():
    envs = BatchedControlEnv(2, "van_der_pol", u_bounds=500.0, action_units="physical")
    x0 = np.array([[1.9, 1.9], [0.1, 0.1]])
    envs.reset(options={"x0": x0})
    actions = np.array([[500.0], [0.0]])
    for _ in range(50):
        x, reward, *_, infos = envs.step(actions)
        assert np.isfinite(x).all()
        assert np.isfinite(reward).all()
    trajectories = simulate(envs.system, x0, np.broadcast_to(actions[:, None], (2, 50, 1)))
    np.testing.assert_allclose(x, trajectories.x[:, -1])
    np.testing.assert_allclose(infos["metrics"]["cost"], measure(trajectories).cost)


def test_bad_input_is_refused():
    envs = BatchedControlEnv(2, "double_integrator")
    with pytest.raises(gym.error.ResetNeeded):
        envs.step(np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"\(2, 2\) finite numbers"):
        envs.reset(options={"x0": [[0.0, np.nan], [0.0, 0.0]]})
    envs.reset()
    with pytest.raises(ValueError, match=r"\(2, 1\) finite numbers"):
        envs.step(np.zeros(2))
    with pytest.raises(ValueError, match="actions must be numbers"):
        envs.step("abc")
    with pytest.raises(ValueError, match="num_envs must be a whole number of at least 1, not 0"):
        BatchedControlEnv(0)
    with pytest.raises(ValueError, match="do not render"):
        gym.make_vec("VanDerPol-v0", num_envs=2, vectorization_mode="vector_entry_point", render_mode="rgb_array")


def play(batch, actions):
    """Steps through a whole horizon; returns the last step."""
    for _ in range(batch.system.horizon):
        last = batch.step(actions)
    return last


def test_the_last_step_can_start_the_next_trajectories():
    start = np.array([[0.5, 0.0], [0.2, -0.1]])
    batch = gym.make_vec(
        "DoubleIntegrator-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        autoreset_mode="SameStep",
    )
    assert batch.metadata["autoreset_mode"] == gym.vector.AutoresetMode.SAME_STEP
    batch.reset(seed=0, options={"x0": start})
    other = BatchedControlEnv(2)
    other.reset(seed=0, options={"x0": start})
    actions = np.full((2, 1), 0.1)
    observation, reward, terminated, _, infos = play(batch.unwrapped, actions)
    final, same_reward, *_, final_infos = play(other, actions)
    np.testing.assert_array_equal(infos["final_obs"], final)
    np.testing.assert_array_equal(reward, same_reward)
    np.testing.assert_array_equal(infos["final_info"]["metrics"]["cost"], final_infos["metrics"]["cost"])
    assert terminated.all()
    assert np.all(np.abs(observation) <= 0.8)  # already new ones
    assert batch.step(actions)[2].any() == False  # noqa: E712


def test_without_autoreset_the_user_resets():
    batch = BatchedControlEnv(2, autoreset_mode=gym.vector.AutoresetMode.DISABLED)
    batch.reset(seed=0)
    play(batch, np.zeros((2, 1)))
    with pytest.raises(gym.error.ResetNeeded, match="are over"):
        batch.step(np.zeros((2, 1)))
    batch.reset(options={"reset_mask": np.array([True, True])})
    batch.step(np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reset_mask": np.array([True, False])}, 'vectorization_mode="sync"'),
        ({"reset_mask": np.array([True])}, "reset_mask"),
        ({"reset_mask": ["True", "True"]}, "reset_mask"),
        ({"reset_mask": np.array([np.nan, np.nan])}, "reset_mask"),
        ({"reset_mask": [[True], [True, True]]}, "reset_mask"),
        ({"x0": "abc"}, r"options\['x0'\] must be \(2, 2\) finite numbers"),
        ({"x_0": [[0, 0], [0, 0]]}, "no option 'x_0'. Did you mean x0"),
    ],
)
def test_options_of_a_batch_are_checked(options, said):
    batch = BatchedControlEnv(2)
    with pytest.raises(ValueError, match=said):
        batch.reset(options=options)


def test_an_unknown_autoreset_mode_is_refused():
    with pytest.raises(ValueError, match="NextStep, SameStep, Disabled"):
        BatchedControlEnv(2, autoreset_mode="sometimes")
