"""The problems in Inspect AI: its own command, against a chat server on the loopback interface."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chatting import url  # noqa: F401

pytest.importorskip("inspect_ai", reason="pip install inspect-ai openai")
pytest.importorskip("openai", reason="pip install inspect-ai openai")

EXAMPLE = Path(__file__).parents[2] / "examples" / "inspect_control.py"


def evaluate(address, folder, task, *settings):
    """The scores of each sample that inspect eval writes."""
    inspect = Path(sys.executable).parent / "inspect"
    command = [
        inspect,
        "eval",
        f"{EXAMPLE}@{task}",
        "--model",
        "openai-api/local/feedback",
        "--model-base-url",
        address,
    ]
    command += [
        "--log-dir",
        str(folder / "logs"),
        "--log-format",
        "json",
        "--display",
        "none",
        "-T",
        "count=3",
        *settings,
    ]
    env = os.environ | {"LOCAL_API_KEY": "none"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (log,) = (folder / "logs").glob("*.json")
    found = json.loads(log.read_text())
    assert found["status"] == "success", found.get("error")
    return [(sample["scores"]["control_score"], sample["store"]) for sample in found["samples"]]


def test_a_text_is_scored(url, tmp_path):  # noqa: F811
    for score, _ in evaluate(url, tmp_path, "control"):
        assert score["explanation"] == "ok"
        assert 140 < score["value"]["reward"] < 163
        assert score["value"]["success"] == 1


def test_closed_loop_is_played_by_tool_calls(url, tmp_path):  # noqa: F811
    for score, store in evaluate(url, tmp_path, "closed_loop", "-T", "scaled=true"):
        assert len(store["controls"]) == 50  # and not the 51 of the first call
        assert 0.87 < score["value"]["reward"] < 1
        assert score["value"]["success"] == 1
