"""The problems in lm-evaluation-harness: its own command, against a chat server on the loopback interface."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chatting import url  # noqa: F401

pytest.importorskip("lm_eval", reason="pip install 'lm_eval[api]'")

FOLDER = Path(__file__).parents[2] / "examples" / "lm_eval_control"


def test_texts_are_scored(url, tmp_path):  # noqa: F811
    command = f"-m lm_eval run --include_path {FOLDER} --tasks control --limit 3 --model local-chat-completions"
    command += f" --apply_chat_template --model_args model=feedback,base_url={url}/chat/completions,num_concurrent=1"
    env = os.environ | {"OPENAI_API_KEY": "none", "HF_HOME": str(tmp_path)}
    command = [sys.executable, *command.split(), "--output_path", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (found,) = (tmp_path / "out").rglob("results*.json")
    measured = json.loads(found.read_text())["results"]["control"]
    assert 140 < measured["reward,none"] < 163
    assert measured["reward_scaled,none"] == pytest.approx((measured["reward,none"] + 10) / 173)
    assert measured["success,none"] == measured["parsed,none"] == 1
