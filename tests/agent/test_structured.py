"""Structured output: the completions of any model contain a plan."""

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("outlines_core")

from folders import ARCHITECTURES, make_folder

from control_envs import SYSTEMS, format_completion, format_prompt, get_system, parse_completion, sample_states
from control_envs.text import answer_pattern
from llm_agent import evaluate, train_grpo, train_sft
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.structured import Pattern, spellings

SHORT = get_system("double_integrator", horizon=6)


@given(st.data())
def test_the_pattern_is_the_parsers_and_the_writers(data):
    system = SYSTEMS[data.draw(st.sampled_from(sorted(SYSTEMS)))].replace(horizon=data.draw(st.integers(1, 4)))
    expression = answer_pattern(system)
    text = data.draw(st.from_regex(re.compile(expression, re.ASCII), fullmatch=True))
    assert parse_completion(text, system.horizon, system.m).verdict == "ok"
    values = data.draw(
        st.lists(st.floats(-9999, 9999), min_size=system.horizon * system.m, max_size=system.horizon * system.m)
    )
    plan = [values[i : i + system.m] for i in range(0, len(values), system.m)]
    assert re.fullmatch(expression, format_completion(plan, "k1=5.9 > 2"))


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "tiny"])
def test_an_untrained_model_answers_in_the_format(tmp_path, architecture):
    folder = "tiny" if architecture == "tiny" else make_folder(tmp_path / "m", architecture, chat=True)
    policy = LLMPolicy.from_pretrained(folder, max_new_tokens=200)
    prompts = [format_prompt(SHORT, x) for x in sample_states(SHORT, 3)]
    # Reasoning has no end of its own in the pattern: an untrained model would go on with it.
    pattern = answer_pattern(SHORT).replace("[^<]*", "[^<]{0,20}")
    for greedy in (True, False):
        answers = policy.act(prompts, greedy=greedy, seed=0, pattern=pattern)
        assert {parse_completion(a, SHORT.horizon).verdict for a in answers} == {"ok"}, answers
    assert {parse_completion(a, SHORT.horizon).verdict for a in policy.act(prompts)} != {"ok"}


def test_a_trained_models_answers_stay_as_they_are():
    policy, system = (
        LLMPolicy.from_pretrained("tiny-double-integrator", max_new_tokens=80),
        get_system("double_integrator"),
    )
    prompts = [format_prompt(system, x) for x in sample_states(system, 8)]
    assert policy.act(prompts) == policy.act(prompts, pattern=answer_pattern(system))


def test_a_tokenizers_tokens_spell_what_it_decodes(tmp_path):
    policy = LLMPolicy.from_pretrained(make_folder(tmp_path / "m", "llama", chat=False))
    plan = format_completion([[-0.25]] * 6, "a law")
    spelt = {i: text for text, ids in spellings(policy.tokenizer).items() for i in ids}
    ids = policy.tokenizer(plan, add_special_tokens=False).input_ids
    assert b"".join(spelt[i] for i in ids).decode() == plan


def test_an_invalid_expression_is_refused(tmp_path):
    policy = LLMPolicy.from_pretrained("tiny")
    with pytest.raises(ValueError, match="cannot be constrained to"):
        Pattern("(", policy.tokenizer)


def test_evaluation_shows_structured_answers_and_leaves_a_runs_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [
        "--model",
        "tiny",
        "--max_steps",
        "2",
        "--per_device_train_batch_size",
        "4",
        "--eval-states",
        "4",
        "--skip-report",
    ]
    assert train_sft.main([*flags, "--output-dir", "run"]) == 0
    before = (tmp_path / "run" / "evaluation.json").read_text()
    assert evaluate.main(["run", "--structured"]) == 0
    assert "SFT greedy" in capsys.readouterr().out
    assert (tmp_path / "run" / "evaluation.json").read_text() == before


def test_a_missing_vllm_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert evaluate.main(["tiny-double-integrator", "--use-vllm", "--states", "2"]) == 2
    assert "[vllm]'" in capsys.readouterr().err
    assert train_grpo.main(["--use_vllm", "true", "--output-dir", "never"]) == 2
    assert "[vllm]'" in capsys.readouterr().err
