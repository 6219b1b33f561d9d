"""The environment in OpenEnv: its own server and client, over the loopback interface."""

import os
import runpy
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("openenv", reason="pip install openenv")

from control_envs import SYSTEMS, format_completion
from control_envs.envs import TextControlEnv
from llm_agent.integrations.openenv import ControlAction, ControlClient, ControlOpenEnv, make_app

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = EXAMPLES / "openenv_control"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def url():
    server, url = runpy.run_path(str(EXAMPLES / "openenv_environment.py"), run_name="example")["serve"](make_app())
    yield url
    server.should_exit = True


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_text_and_the_same_controls_in_parts_score_as_the_environment_does(url, name):
    system = SYSTEMS[name]
    with ControlClient(base_url=url).sync() as client:
        problem = client.reset(system=name, seed=3, split="test").observation
        plan = np.round(np.random.default_rng(0).uniform(*system.u_bounds.T, size=(system.horizon, system.m)), 2)
        env = TextControlEnv(system)
        prompt, _ = env.reset(options={"x0": problem.x})
        assert problem.prompt == prompt
        _, expected, _, _, info = env.step(format_completion(plan))
        result = client.step(ControlAction(completion=format_completion(plan)))
        assert result.done
        assert result.observation.verdict == "ok"
        assert result.reward == pytest.approx(expected, abs=1e-9)
        assert result.observation.success == bool(info["metrics"]["success"])
        assert client.state().score == result.reward

        assert client.reset(system=name, x0=problem.x).observation.x == problem.x
        rewards = []
        for part in np.array_split(plan, 7):
            assert client.state().score == -5.0  # not all controls yet
            result = client.step(ControlAction(controls=part.ravel().tolist()))
            rewards.append(result.reward)
        assert result.done
        assert rewards[:-1] == [0.0] * 6
        assert result.reward == pytest.approx(expected, abs=1e-9)


def test_what_a_model_does_wrong_it_is_told():
    env = ControlOpenEnv()
    env.reset(x0=[0.4, -0.2])
    for controls, told in (([], "finite numbers"), ([0.0] * 51, "only 50 controls are left")):
        seen = env.step(ControlAction(controls=controls))
        assert seen.message.startswith("error: ")
        assert told in seen.message
        assert (seen.left, seen.done, seen.reward) == (50, False, 0.0)
    assert env.step(ControlAction(controls=[0.0, 0.0])).message == "position=0.36, velocity=-0.20; 48 controls left"
    assert "played already" in env.step(ControlAction(completion=format_completion(np.zeros((50, 1))))).message
    env.reset(x0=[0.4, -0.2])
    seen = env.step(ControlAction(completion="I would push gently."))
    assert (seen.verdict, seen.done, seen.reward) == ("missing_tags", True, -10.0)
    seen = env.step(ControlAction(controls=[0.0]))
    assert (seen.message, seen.done, seen.reward) == ("error: the trajectory is over", True, 0.0)


def test_a_client_gets_its_errors_as_one_line(url):
    with ControlClient(base_url=url).sync() as client:
        for arguments, message in (
            ({"system": "van_der_pool"}, "Did you mean 'van_der_pol'"),
            ({"x0": [9.0, 0.0]}, "x0.* must be 2 finite numbers inside"),
            ({"x0": 5}, "x0 must be a list of numbers"),
            ({"split": "training"}, "there is no split"),
            ({"sytem": "van_der_pol"}, "reset has no argument sytem"),
        ):
            with pytest.raises(RuntimeError, match=message):
                client.reset(**arguments)
        assert client.reset(seed=1).observation.x == client.reset(seed=1).observation.x
    with pytest.raises(gym.error.ResetNeeded):
        ControlOpenEnv().step(ControlAction(controls=[0.0]))
    with pytest.raises(ValueError, match="either a completion or controls"):
        ControlAction()
    with pytest.raises(ValueError, match="no lower bound"):
        make_app(reward_version="1.0", scaled=True)


def test_the_folder_is_valid_and_serves(tmp_path):
    done = subprocess.run([BIN / "openenv", "validate", "--level", "static", FOLDER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    command = [BIN / "uvicorn", "server.app:app", "--port", "0"]
    log = tmp_path / "log"
    with log.open("w") as out:
        environment = os.environ | {"CONTROL_SYSTEM": "van_der_pol", "PYTHONDONTWRITEBYTECODE": "1"}
        server = subprocess.Popen(command, cwd=FOLDER, env=environment, stdout=out, stderr=out)
    try:
        for _ in range(600):
            if "http://127.0.0.1:" in log.read_text():
                break
            time.sleep(0.1)
        url = "http://127.0.0.1:" + log.read_text().partition("http://127.0.0.1:")[2].split()[0]
        assert b"healthy" in urllib.request.urlopen(f"{url}/health").read()
        with ControlClient(base_url=url).sync() as client:
            problem = client.reset(seed=0).observation
            assert "Van der Pol" in problem.prompt
            assert 0.23 <= client.step(ControlAction(controls=[0.0] * 50)).reward <= 1  # scaled
        report = subprocess.run([BIN / "openenv", "validate", "--url", url], capture_output=True, text=True)
        assert report.returncode == 0, report.stdout + report.stderr
    finally:
        server.terminate()
        server.wait()
