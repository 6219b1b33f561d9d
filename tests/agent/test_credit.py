"""Credit per control: the reward of each control, the advantage of each token, and the trainer that uses it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig

from control_envs import format_completion, get_system, sample_states, score_completions
from llm_agent.data.demonstrations import DemonstrationConfig, demonstrate, demonstration_rows, make_prompts
from llm_agent.models.tiny import build_tiny
from llm_agent.models.tokenizer import build_tokenizer
from llm_agent.training.credit import control_advantages, control_rewards, controls_before, token_starts
from llm_agent.training.grpo import ControlGRPOTrainer
from llm_agent.training.rewards import group_numbers, reward_functions, variance_shares


def byte_pair_tokenizer():
    """A tokenizer that splits numbers, as those of pretrained models do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [format_completion(np.random.default_rng(i).uniform(-3, 3, (50, 1)), "feedback k1=3.2") for i in range(50)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="!", eos_token="!")


TOKENIZERS = {"tiny": build_tokenizer, "byte pairs": byte_pair_tokenizer}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("m", [1, 2])
def test_tokens_belong_to_the_control_they_write(name, m):
    """For any split: before a token of control k, exactly k controls are complete."""
    tokenizer = TOKENIZERS[name]()
    text = format_completion(np.random.default_rng(0).uniform(-3, 3, (7, m)), "feedback k1=3.2, then 1, 2; 3")
    ids = tokenizer(text, add_special_tokens=False).input_ids
    before, starts = controls_before(tokenizer, ids, m), token_starts(tokenizer, ids, text)
    body = text.index("<CONTROLS>") + len("<CONTROLS>")
    for start, count in zip(starts, before, strict=True):
        written = text[body : start + 1] if start >= body else ""
        assert count == (7 if "<" in written else written.count("," if m == 1 else ";"))
    assert before[0] == 0
    assert set(before) == set(range(8))


def test_tokens_are_found_when_the_tokenizer_would_spell_otherwise():
    tokenizer = byte_pair_tokenizer()
    text = format_completion(np.full((3, 1), 0.25))
    letters = [i for c in text for i in tokenizer(c, add_special_tokens=False).input_ids]
    assert len(letters) > len(tokenizer(text, add_special_tokens=False).input_ids)
    assert token_starts(tokenizer, letters, text).tolist() == list(range(len(text)))


def test_rewards_of_controls_add_up_to_the_score(system):
    x0 = sample_states(system, 3)
    texts = [format_completion(u) for u in np.random.default_rng(0).uniform(-2, 2, (2, system.horizon, system.m))]
    texts.append("no plan")
    earned = control_rewards([system.name] * 3, x0.tolist(), texts, "1.3")
    np.testing.assert_allclose(earned[:2].sum(1), score_completions(system, x0, texts).total[:2])
    assert np.isnan(earned[2]).all()


def test_advantages_of_the_whole_plan_and_of_the_return_to_go():
    earned = np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 0.0], [1.0, 0.0, 0.0], [np.nan] * 3])
    totals = np.array([6.0, 5.0, 1.0, -10.0])
    outcome = (totals - totals.mean()) / (totals.std(ddof=1) + 1e-4)
    to_go = control_advantages(earned, totals, 4, "to_go")
    np.testing.assert_allclose(to_go[:, 0], outcome)
    np.testing.assert_allclose(to_go[3], outcome[3])  # no plan: every token has the outcome's advantage
    np.testing.assert_allclose(to_go[:3, 2], (np.array([3, 0, 0]) - 1) / (totals.std(ddof=1) + 1e-4))
    np.testing.assert_allclose(to_go[:3, 3], 0)
    process = control_advantages(earned, totals, 4, "process")
    steps = earned[:3]
    np.testing.assert_allclose(process[:3, 1], ((steps - steps.mean()) / (steps.std() + 1e-4))[:, 1:].sum(1))


def test_shares_of_the_variance_within_groups():
    groups = group_numbers(["a"] * 4, [[0.0], [0.0], [1.0], [1.0]])
    assert groups.tolist() == [0, 0, 1, 1]
    terms = {"steady": np.array([1.0, 1, 5, 5]), "strong": np.array([0.0, 3, 0, 3]), "weak": np.array([0.0, 1, 0, 1])}
    assert variance_shares(terms, groups) == pytest.approx({"steady": 0, "strong": 0.75, "weak": 0.25})
    assert variance_shares({"steady": terms["steady"]}, groups) == {}


def trainer(tmp_path, **kwargs):
    model, tokenizer = build_tiny()
    config = GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=4, num_generations=4, max_steps=1, report_to="none",
        use_cpu=True, bf16=False, max_completion_length=60, temperature=0.7, top_k=0, save_strategy="no",
        disable_tqdm=True,
    )  # fmt: skip
    return ControlGRPOTrainer(
        model=model, reward_funcs=reward_functions(), args=config, processing_class=tokenizer,
        train_dataset=make_prompts(["double_integrator"], 4), **kwargs,
    )  # fmt: skip


def test_the_dense_head_gives_trls_own_log_probabilities(tmp_path):
    ours = trainer(tmp_path)
    system = get_system("double_integrator")
    rows = demonstration_rows(demonstrate(system, sample_states(system, 3), DemonstrationConfig()))
    encoded = ours.processing_class([r["prompt"] + r["completion"] for r in rows], return_tensors="pt", padding=True)
    args = (ours.model, encoded.input_ids, encoded.attention_mask, 40)
    ours.model.eval()
    dense = ours._get_per_token_logps_and_entropies(*args, batch_size=2, compute_entropy=True)
    ours._dense = False
    tiled = ours._get_per_token_logps_and_entropies(*args, batch_size=2, compute_entropy=True)
    torch.testing.assert_close(dense[0], tiled[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dense[1], tiled[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("credit", ["process", "to_go"])
def test_the_trainer_trains_on_advantages_by_token(tmp_path, credit):
    ours = trainer(tmp_path, credit=credit)
    seen = {}
    original = ours._compute_loss
    ours._compute_loss = lambda model, inputs: seen.update(inputs) or original(model, inputs)
    ours.train()
    assert seen["advantages"].shape == seen["completion_ids"].shape
    assert torch.isfinite(seen["advantages"]).all()
