"""Pictures of trajectories in progress: frames, lists of frames, videos, windows."""

import os
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from baselines.controllers.lqr import lqr
from control_envs import System, env_id, format_completion
from control_envs.envs import ControlEnv, TextControlEnv
from control_envs.rendering.drawing import COLOURS
from control_envs.rendering.views import velocities


def satellite(unit="rad/s"):
    """Three states and three controls, none of them the velocity of another."""
    return System(
        name="satellite",
        title="a satellite",
        equation="w1' = u1, w2' = u2, w3' = u3",
        state_names=("w1", "w2", "w3"),
        control_names=("u1", "u2", "u3"),
        state_units=(unit,) * 3,
        vector_field=lambda x, u, xp=None: (u[0] - x[1] * x[2], u[1] + x[0] * x[2], u[2]),
        x_bounds=1.0,
        u_bounds=1.0,
        x0_bounds=0.5,
    )


def one_state():
    return System("tank", "a tank", "x' = u", ("level",), ("u",), lambda x, u, xp=None: (u[0],), 1.0, 1.0, 0.5)


def rolled_out(env, steps, seed=0):
    system = env.unwrapped.system
    K, _ = lqr(system)
    x, _ = env.reset(seed=seed)
    for _ in range(steps):
        x, *_ = env.step(env.unwrapped.to_action(system.saturate(-K @ x)))
    return env


def has_colour(frame, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(frame.astype(int) - wanted).sum(axis=-1) < 12).sum() > 20)


def check_frame(frame):
    assert frame.dtype == np.uint8
    assert frame.shape == (400, 800, 3)
    assert has_colour(frame, COLOURS[2])  # the plant
    assert has_colour(frame, COLOURS[0])  # the target


def test_frames(system):
    env = rolled_out(gym.make(env_id(system.name), render_mode="rgb_array"), 0)
    first = env.render()
    check_frame(first)
    env.step(0.7 * np.ones(system.m))
    second = env.render()
    check_frame(second)
    assert has_colour(second, COLOURS[3])  # the control as an arrow
    assert not np.array_equal(first, second)
    assert env.metadata["render_fps"] == round(1 / system.dt)


@pytest.mark.parametrize("plant", [satellite(), satellite("rad"), one_state()], ids=["tracks", "arms", "one state"])
def test_frames_of_any_number_of_states_and_controls(plant):
    check_frame(rolled_out(ControlEnv(plant, render_mode="rgb_array"), 3).render())


def test_a_frame_is_the_same_whatever_was_drawn_before():
    fresh = rolled_out(gym.make("VanDerPol-v0", render_mode="rgb_array"), 7).render()
    used = rolled_out(gym.make("VanDerPol-v0", render_mode="rgb_array"), 30, seed=5)
    used.render()
    np.testing.assert_array_equal(rolled_out(used, 7).render(), fresh)


def test_a_diverged_trajectory_is_drawn():
    env = TextControlEnv("van_der_pol", render_mode="rgb_array", horizon=100)
    env.reset(options={"x0": [1.5, 1.5]})
    env.step(format_completion(np.full((100, 1), 5.0)))
    check_frame(env.render())


def test_frames_are_quick():
    env = rolled_out(gym.make("DoubleIntegrator-v0", render_mode="rgb_array"), 10)
    env.render()
    began = time.perf_counter()
    for _ in range(20):
        env.render()
    assert time.perf_counter() - began < 1.0  # twenty a second on the slowest of machines; it is some hundreds


def test_velocities(system):
    found = velocities(system)
    for i, j in found.items():
        assert system.step(0.1 * np.eye(system.n)[j], np.zeros(system.m))[i] != 0
    if system.name in ("double_integrator", "van_der_pol"):
        assert found == {0: 1}


def test_a_plan_in_text_is_an_animation():
    env = gym.make("DoubleIntegratorText-v0", render_mode="rgb_array_list", replan_every=20)
    env.reset(options={"x0": [0.4, -0.2]})
    assert len(env.render()) == 1
    plan = format_completion(0.5 * np.ones((50, 1)))
    env.step(plan)
    frames = env.render()
    assert len(frames) == 20
    assert len(np.unique([f.tobytes() for f in frames])) == 20
    env.step(plan)
    env.step(plan)
    assert len(env.render()) == 30
    assert env.render() == []
    env.reset(seed=0)
    env.step("no plan")
    assert len(env.render()) == 1


def test_lists_of_frames_of_numeric_environments():
    env = rolled_out(gym.make("DoubleIntegrator-v0", render_mode="rgb_array_list"), 5)
    assert len(env.render()) == 6
    assert env.render() == []


def test_videos(tmp_path):
    pytest.importorskip("moviepy")
    from gymnasium.utils.save_video import save_video
    from gymnasium.wrappers import RecordVideo

    env = RecordVideo(gym.make("DoubleIntegrator-v0", render_mode="rgb_array"), str(tmp_path / "numeric"))
    rolled_out(env, 50).close()
    text = gym.make("DoubleIntegratorText-v0", render_mode="rgb_array_list")
    text.reset(seed=0)
    text.step(format_completion(np.zeros((50, 1))))
    save_video(text.render(), str(tmp_path / "text"), fps=text.metadata["render_fps"])
    for folder in ("numeric", "text"):
        (video,) = (tmp_path / folder).glob("*.mp4")
        assert video.stat().st_size > 1000


@pytest.mark.parametrize("backend", ["", "tkagg"])
def test_without_a_display_human_says_so_in_one_line(backend):
    code = """
import gymnasium, control_envs
for name in ("DoubleIntegrator-v0", "VanDerPolText-v0"):
    env = gymnasium.make(name, render_mode="human")
    env.reset(seed=0)
    env.step("no plan" if "Text" in name else [0.0])
    assert env.render() is None
    env.close()
"""
    seen = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**seen, "MPLBACKEND": backend}
    )
    if sys.platform != "linux" and not done.stderr:
        pytest.skip("there is a display")
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: render_mode='human' cannot open a window")
    assert "'rgb_array'" in line
