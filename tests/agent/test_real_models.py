"""Qwen, Llama and Gemma models with random weights, trained as a user trains them; nothing is downloaded."""

import json
import re
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from folders import ARCHITECTURES, make_folder
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from control_envs import format_completion, format_prompt, get_system, parse_completion
from llm_agent import compare, estimate, train_grpo, train_sft
from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
from llm_agent.models.chat import encode
from llm_agent.models.loading import load_model, load_tokenizer
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.arguments import parse
from llm_agent.training.sft import tokenize

SFT = "max_steps: 4\nsave_steps: 2\nper_device_train_batch_size: 2\ngradient_accumulation_steps: 1\n"
SFT += "learning_rate: 1.0e-2\n"
GRPO = ["--max_steps", "2", "--num_generations", "2", "--per_device_train_batch_size", "2", "--save_steps", "1"]
GRPO += [
    "--skip-report",
    "--eval-states",
    "2",
    "--max_completion_length",
    "400",
    "--learning_rate",
    "1e-2",
    "--temperature",
    "1.0",
    "--patience",  # random weights write no plan, and are trained all the same
    "0",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sft.yaml").write_text(SFT)
    return tmp_path


def logits(name, tokens):
    model, _ = load_model(name)
    with torch.no_grad():
        return model(tokens).logits


SEVERAL = [
    pytest.param(name, chat, marks=() if name == "qwen3" else pytest.mark.slow)  # half a minute each
    for name, chat in zip(ARCHITECTURES, (True, False, True), strict=True)
]


@pytest.mark.parametrize(("architecture", "chat"), SEVERAL)
def test_sft_adapter_grpo_evaluation_and_resume(folder, capsys, architecture, chat):
    make_folder(folder / "base", architecture, chat)
    flags = ["--model", "base", "--sft-config", "sft.yaml", *GRPO, "--output-dir", "run"]
    assert train_grpo.main(flags) == 0, capsys.readouterr().err
    run = RunFolder.open("run")
    for phase in ("sft", "grpo"):
        assert (run.path / phase / "adapter_model.safetensors").exists()
        assert load_tokenizer(run.path / phase).chat_template == load_tokenizer("base").chat_template
    assert [row["step"] for row in run.metrics("grpo") if "loss" in row] == [1, 2]
    tokens = encode(load_tokenizer("base"), [format_prompt(get_system("double_integrator"), [0.4, -0.2])])
    tokens = torch.tensor(tokens.input_ids)
    base, sft, done = (logits(name, tokens) for name in ("base", "run/sft", "run"))
    assert not torch.allclose(base, sft)
    assert torch.equal(done, logits("run/grpo", tokens))
    # The same command goes on where it was stopped, with the adapter that SFT left.
    record = json.loads((run.path / "run.json").read_text())
    del record["phases"]["grpo"], record["phases"]["evaluation"]
    (run.path / "run.json").write_text(json.dumps(record))
    assert train_grpo.main(["--resume", "--output-dir", "run"]) == 0, capsys.readouterr().err
    assert torch.equal(logits("run", tokens), done)


def test_the_adapter_in_memory_is_the_one_that_is_loaded_again(folder):
    make_folder(folder / "base", "qwen3", chat=True)
    (folder / "sft.yaml").write_text(SFT.replace("learning_rate: 1.0e-2", "learning_rate: 0.1"))
    flags = [
        "--model",
        "base",
        "--max_steps",
        "2",
        "--config",
        "sft.yaml",
        "--eval-states",
        "2",
        "--skip-report",
        "--output-dir",
        "run",
    ]
    assert train_sft.main(flags) == 0
    prompts = [format_prompt(get_system("double_integrator"), [0.4, -0.2])]
    first = LLMPolicy.from_pretrained("run", max_new_tokens=30)
    merged = first.model.merge_and_unload()
    merged.save_pretrained("merged")
    first.tokenizer.save_pretrained("merged")
    second = LLMPolicy.from_pretrained("merged", max_new_tokens=30)
    assert first.act(prompts) == second.act(prompts)


def test_sft_and_generation_encode_prompts_alike(folder):
    """SFT's tokens begin with the prompt tokens of the policy and of TRL, and end with the completion and its end."""
    for chat in (True, False):
        make_folder(folder / f"base-{chat}", "llama", chat)
        tokenizer = load_tokenizer(folder / f"base-{chat}")
        rows, _ = make_demonstrations(["double_integrator"], 2, DemonstrationConfig())
        for row, taught in zip(rows, tokenize(rows, tokenizer), strict=True):
            (prompt,) = encode(tokenizer, [row["prompt"]]).input_ids
            assert taught["input_ids"][: len(prompt)] == prompt
            assert taught["labels"][: len(prompt)] == [-100] * len(prompt)
            answer = taught["input_ids"][len(prompt) :]
            assert tokenizer.decode(answer[:-1]) == row["completion"]
            assert answer[-1] == tokenizer.eos_token_id
            assert (tokenizer.decode(prompt).count("<|user|>") == 1) == chat


@pytest.mark.parametrize("begins", [True, False])
def test_a_tokenizer_without_a_template_is_supplied_with_one_that_adds_nothing(folder, begins):
    make_folder(folder / "base", "llama", chat=False)
    bare = AutoTokenizer.from_pretrained("base")
    if begins:  # as Llama's do
        bare.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", bare.bos_token_id)]
        )
        bare.save_pretrained("base")
    prompts = [format_prompt(get_system("double_integrator"), [0.4, -0.2])]
    assert encode(load_tokenizer("base"), prompts).input_ids == bare(prompts).input_ids
    assert (bare(prompts).input_ids[0][0] == bare.bos_token_id) == begins


def test_models_that_answer_alike_are_not_compared(folder, capsys):
    make_folder(folder / "a", "llama", False)
    shutil.copytree(folder / "a", folder / "b")
    assert compare.main(["a", "b", "--states", "2", "--policies", "lqr", "--output-dir", "c", "--no-pictures"]) == 2
    assert "are the same model" in capsys.readouterr().err


def test_an_estimate_uses_the_models_configuration(folder, capsys):
    make_folder(folder / "base", "qwen3", True)
    assert estimate.main(["--model", "base", "--device", "l4", "--max_completion_length", "400"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"weights +\| 0 M, of which 0\.\d M are trained", out)
    assert re.search(r"memory in all +\| \d+\.\d of 24 GB", out)
    large = "qwen3:hidden_size=8192,num_hidden_layers=80,vocab_size=152000"
    assert estimate.main(["--model", "someone/else", "--shape", large]) == 0
    assert "TOO MUCH" in capsys.readouterr().out
    assert estimate.main(["--model", "someone/else"]) == 2
    assert "give --shape" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layout", "at_most"), [("multi_gpu", 1.0), ("zero1", 0.4), ("zero2", 0.3), ("zero3", 0.2), ("fsdp2", 0.2)]
)
def test_an_estimate_shards_as_zero_does(folder, capsys, layout, at_most):
    """A full fine-tuning of a large model: sharding over eight processes takes its state apart, stage by stage."""

    def memory(*flags):
        shape = "qwen3:hidden_size=4096,num_hidden_layers=36,vocab_size=152000"
        assert estimate.main(["--model", "someone/else", "--shape", shape, "--lora-r", "0", *flags]) == 0
        return float(re.search(r"memory in all +\| (\d+\.\d)", capsys.readouterr().out)[1])

    config = Path(__file__).parents[2] / "accelerate_configs" / f"{layout}.yaml"
    whole, shared = memory(), memory("--accelerate-config", str(config))
    assert shared <= at_most * whole + 15  # what a batch takes is nobody else's
    assert shared == whole if layout == "multi_gpu" else shared < whole


def test_an_estimate_of_four_bits(folder, capsys):
    shape = "qwen3:hidden_size=4096,num_hidden_layers=36,vocab_size=152000"
    for flags, kind in (([], "bfloat16"), (["--load-in-4bit"], "four bits")):
        assert estimate.main(["--model", "someone/else", "--shape", shape, *flags]) == 0
        assert f"memory: weights ({kind}" in capsys.readouterr().out


@pytest.mark.parametrize("preset", ["small-gpu", "qwen3-4b"])
def test_presets_are_jobs_and_are_estimated_without_a_hub(preset, capsys):
    job = parse("grpo", ["--config", preset, "--use_cpu", "true", "--bf16", "false"])
    assert job.args.model.startswith("Qwen/")
    assert job.sft is not None
    assert estimate.main(["--config", preset]) == 0
    assert re.search(r"memory in all +\| \d+\.\d of 24 GB", capsys.readouterr().out)


def test_presets_have_names(folder, capsys):
    parsed, written = (parse("grpo", flags).grpo for flags in (["--config", "tiny"], ["--model", "tiny-base"]))
    assert parsed.learning_rate == written.learning_rate
    (folder / "tiny").write_text("learning_rate: 0.5")  # a file of that name goes first
    assert parse("grpo", ["--config=tiny"]).grpo.learning_rate == 0.5
    assert train_grpo.main(["--config", "qwen-4b"]) == 2
    assert "there is no config qwen-4b. Did you mean the preset qwen3-4b?" in capsys.readouterr().err


def test_lora_on_weights_in_four_bits(folder, capsys):
    pytest.importorskip("bitsandbytes")
    make_folder(folder / "base", "qwen3", True, width=128)
    flags = ["--model", "base", "--sft-config", "sft.yaml", *GRPO, "--load-in-4bit", "--output-dir", "run"]
    assert train_grpo.main(flags) == 0, capsys.readouterr().err
    model, _ = load_model("run", four_bit=True)
    assert any(type(module).__name__ == "Linear4bit" for module in model.modules())
    assert train_grpo.main([*flags, "--lora-r", "0"]) == 2
    assert "cannot be trained" in capsys.readouterr().err
    assert train_grpo.main(["--load-in-4bit"]) == 2
    assert "the embedded one" in capsys.readouterr().err


def test_any_tokenizer_can_write_a_plan(folder):
    plan = format_completion([[0.1]] * 50, "feedback k1=5.9 k2=6.8")
    for architecture in ARCHITECTURES:
        tokenizer = load_tokenizer(make_folder(folder / architecture, architecture, True))
        ids = tokenizer(plan, add_special_tokens=False).input_ids
        assert parse_completion(tokenizer.decode(ids), 50).verdict == "ok"
