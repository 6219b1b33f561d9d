"""Rows and rewards in veRL: its own dataset reads the rows, its own reward manager calls the function."""

import json

import numpy as np
import pytest

pytest.importorskip("verl", reason="pip install verl")
torch = pytest.importorskip("torch")

from omegaconf import OmegaConf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import RLHFDataset

from control_envs import format_completion, get_system, score_completions
from llm_agent import export

FUNCTION = {"path": "pkg://llm_agent.integrations.verl", "name": "compute_score"}


def bytes_tokenizer():
    vocabulary = {byte: i for i, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    byte_level = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level, pad_token="!", eos_token="!")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return tokenizer


@pytest.mark.parametrize(
    ("options", "no_plan"), [({}, -10.0), ({"scaled": True}, 0.0), ({"reward_version": 2.0}, -12.0)]
)
def test_verl_reads_the_rows_and_scores_answers(tmp_path, options, no_plan):
    flags = [
        "--system",
        "van_der_pol,attitude",
        "--count",
        "6",
        "--held-out",
        "2",
        "--output-dir",
        str(tmp_path / "rows"),
    ]
    assert export.main(["prompts", "--format", "verl", *flags]) == 0
    tokenizer = bytes_tokenizer()
    settings = OmegaConf.create({"max_prompt_length": 4096, "cache_dir": str(tmp_path), "return_raw_chat": True})
    rows = RLHFDataset(str(tmp_path / "rows" / "train.parquet"), tokenizer, settings)
    assert len(rows) == 6
    reward = {"custom_reward_function": {**FUNCTION, "reward_kwargs": options}}
    reward["reward_manager"] = {"source": "register", "name": "naive"}
    manager = load_reward_manager(OmegaConf.create({"reward": reward}), tokenizer)

    def score(row, answer):
        tokens = torch.tensor([tokenizer(answer)["input_ids"]])
        extra = {name: np.array([row[name]], dtype=object) for name in ("data_source", "reward_model", "extra_info")}
        batch = {"responses": tokens, "attention_mask": torch.ones_like(tokens)}
        scoring = manager.run_single(DataProto.from_dict(batch, non_tensors=extra))
        return manager.loop.run_until_complete(scoring)["reward_score"]

    for row in (rows[i] for i in range(6)):
        assert row["raw_prompt"][0]["content"].startswith("Control ")
        problem = json.loads(row["reward_model"]["ground_truth"])
        system = get_system(problem["system"])
        assert row["data_source"] == f"control-grpo/{system.name}"
        text = format_completion(np.zeros((system.horizon, system.m)))
        plain = score_completions(system, [problem["x0"]], [text], str(options.get("reward_version", "1.3"))).total[0]
        expected = (plain + 10) / 173 if options.get("scaled") else plain
        assert score(row, text) == pytest.approx(expected)
        assert score(row, "I would push gently.") == no_plan
