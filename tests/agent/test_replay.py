"""Demonstrations replayed during GRPO: their loss is added, and the gains that they state are not taught."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
from llm_agent.data.reasoning import REASONINGS, gains_end
from llm_agent.models.tiny import build_tiny
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.replay import Replay
from llm_agent.training.sft import IGNORED


@pytest.fixture(scope="module")
def tiny():
    return build_tiny()


@pytest.mark.parametrize("style", REASONINGS)
def test_everything_but_the_gains_is_taught(tiny, style, system):
    model, tokenizer = tiny
    rows, _ = make_demonstrations([system.name], 3, DemonstrationConfig(perturbation=0.1, reasoning=style))
    replay = Replay(rows, tokenizer, 2)
    for labels, text in zip(replay._labels, rows["taught"], strict=True):
        taught = tokenizer.decode([i for i in labels if i != IGNORED], skip_special_tokens=True)
        assert taught == text[gains_end(text) :]
    assert np.isfinite(replay.loss(model).item())


def test_batches_never_end(tiny):
    rows, _ = make_demonstrations(["double_integrator"], 3, DemonstrationConfig())
    replay = Replay(rows, tiny[1], 2)
    assert [replay._batch() for _ in range(3)] == [[0, 1], [2, 0], [1, 2]]


def test_grpo_learns_from_replayed_demonstrations(tmp_path):
    from llm_agent.training.arguments import parse
    from llm_agent.training.pipeline import Pipeline

    flags = [
        "--model",
        "tiny",
        "--zero-shot",
        "--max_steps",
        "8",
        "--warmup_steps",
        "0",
        "--per_device_train_batch_size",
        "4",
    ]
    flags += ["--num_generations", "2", "--sft-weight", "1", "--learning_rate", "3e-3", "--adam_epsilon", "1e-8"]
    job = parse("grpo", [*flags, "--max_completion_length", "70"])
    run = RunFolder.create(tmp_path / "run", "run", job.settings())
    Pipeline(run, job).train()
    losses = [row["replay/loss"] for row in run.metrics("grpo") if "replay/loss" in row]
    assert losses[-1] < losses[0] - 0.2
