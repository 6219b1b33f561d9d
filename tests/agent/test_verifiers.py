"""The environment in verifiers: its own command, against a chat server on the loopback interface."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chatting import url  # noqa: F401

vf = pytest.importorskip("verifiers.v1", reason="pip install verifiers")

HUB = Path(__file__).parents[2] / "examples" / "verifiers_control"
BIN = Path(sys.executable).parent


def evaluate(address, folder, *flags):
    """The traces that vf-eval writes for the hub's module."""
    env = os.environ | {"PYTHONPATH": str(HUB), "OPENAI_API_KEY": "none", "PATH": f"{BIN}:{os.environ['PATH']}"}
    command = f"vf-eval verifiers-control -m feedback -n 3 --no-push --no-rich -o {folder}"
    command += f" --client.base-url {address} --client.api-key-var OPENAI_API_KEY"
    command = [*command.split(), *flags]
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=folder, env=env, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (traces,) = folder.glob("*/traces.jsonl")
    return [trace for line in traces.read_text().splitlines() for trace in json.loads(line)["traces"]]


def test_a_text_is_scored(url, tmp_path):  # noqa: F811
    traces = evaluate(url, tmp_path)
    assert len(traces) == 3
    for trace in traces:
        assert not trace.get("errors"), trace["errors"]
        assert trace["info"]["verdict"] == "ok"
        assert 140 < trace["rewards"]["control"]["score"] < 163
        assert trace["metrics"]["success"] == 1


def test_closed_loop_is_played_by_tool_calls(url, tmp_path):  # noqa: F811
    traces = evaluate(url, tmp_path, "--env.taskset.closed-loop", "true", "--env.taskset.task.scaled", "true")
    assert len(traces) == 3
    for trace in traces:
        assert not trace.get("errors"), trace["errors"]
        assert len(trace["info"]["controls"]) == 50  # and not the 51 of the first call
        assert 0.87 < trace["rewards"]["control"]["score"] < 1
        assert trace["metrics"]["success"] == 1


def test_settings_are_checked(monkeypatch):
    monkeypatch.syspath_prepend(str(HUB))
    import verifiers_control

    env = verifiers_control.load_environment(system="van_der_pol,attitude", split="train", count=4)
    assert sorted(task.data.system for task in env.taskset) == ["attitude", "attitude", "van_der_pol", "van_der_pol"]
    with pytest.raises(ValueError, match="no lower bound"):
        verifiers_control.load_environment(reward_version="1.0", scaled=True)
    with pytest.raises(ValueError, match="colsed_loop"):
        verifiers_control.load_environment(colsed_loop=True)
    with pytest.raises(ValueError, match="Did you mean 'van_der_pol'"):
        list(verifiers_control.load_environment(system="van_der_pool").taskset)
