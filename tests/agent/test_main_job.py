"""The main job itself, with default arguments: minutes of training, and the claim that the project makes."""

import json

import pytest

pytest.importorskip("trl")

from llm_agent import train_grpo
from llm_agent.storage.run_folder import RunFolder


@pytest.mark.slow
def test_grpo_improves_on_its_sft(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train_grpo.main([]) == 0
    report = json.loads((RunFolder.open().path / "evaluation.json").read_text())["double_integrator"]
    assert report["states"]["count"] >= 500
    paired = {(d["policies"][0], d["measure"]): d for d in report["paired"]}
    for decoding in ("greedy", "sampled"):
        reward, cost = (paired[f"GRPO {decoding}", name] for name in ("reward_1.3", "cost_ratio"))
        assert reward["interval"][0] > 0, reward
        assert cost["interval"][1] < 0, cost
    greedy = report["policies"]["GRPO greedy"]["measures"]
    assert greedy["answered"]["mean"] > 0.99
    assert greedy["success"]["mean"] > 0.8
