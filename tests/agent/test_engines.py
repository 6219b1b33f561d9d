"""Engines beside plain torch: vLLM for generation; DeepSpeed and FSDP in two processes on a CPU (gloo)."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from folders import make_folder

from control_envs import format_prompt, get_system, sample_states
from control_envs.text import answer_pattern
from llm_agent import compare, evaluate
from llm_agent.models.tiny import build_tiny
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.vllm import VLLMPolicy, _Engine, check_vllm
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.arguments import parse
from llm_agent.training.optim import MuonAdamW

CONFIGS = Path(__file__).parents[2] / "accelerate_configs"
SYSTEM = get_system("double_integrator")
PROMPTS = [format_prompt(SYSTEM, x) for x in sample_states(SYSTEM, 8)]
# A small share of memory, since tests share a machine; without compilation, which takes longer than the answers.
SMALL = {"gpu_memory_utilization": 0.12, "max_model_len": 1024, "enforce_eager": True}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


# -- vLLM: what can be checked without it ----------------------------------------------------------------------


class Recorded:
    """Stands for vLLM's LLM: remembers which engines are open, and answers with the model's name."""

    open: list = []  # noqa: RUF012

    def __init__(self, **arguments):
        if arguments.get("gpu_memory_utilization") == 2:
            os.write(2, b"a page\n(EngineCore) ERROR [core.py] ValueError: only 1 GiB of memory is free\n")
            raise RuntimeError("Engine core initialization failed. See root cause above.")
        self.arguments, self.llm_engine = arguments, self
        self.engine_core = self
        self.open.append(arguments)

    def shutdown(self):
        self.open.remove(self.arguments)

    def generate(self, tokens, params, use_tqdm, lora_request):
        class Answer:
            text = f"{Path(self.arguments['model']).name} {lora_request}"

            @property
            def outputs(self):
                return [self]

        return [Answer() for _ in tokens]


@pytest.fixture
def recorded(monkeypatch):
    class Module:
        LLM = Recorded

        @staticmethod
        def SamplingParams(**settings):
            return settings

        @staticmethod
        def LoRARequest(name, number, path):
            return f"{Path(path).name} {number}"

    monkeypatch.setattr("llm_agent.policies.vllm.need", lambda module, extra: Module)
    monkeypatch.setattr(Recorded, "open", [])
    yield Recorded.open
    _Engine.close()


def test_one_engine_is_open_at_a_time_and_tiny_models_are_in_single_precision(recorded):
    first, second = (VLLMPolicy.from_pretrained(name) for name in ("tiny-double-integrator", "tiny-universal"))
    assert recorded == []
    assert first.act([]) == []
    for policy, name in ((first, "tiny-double-integrator"), (second, "tiny-universal"), (second, "tiny-universal")):
        assert policy.act(PROMPTS[:2]) == [f"{name} None"] * 2
        (arguments,) = recorded
        assert Path(arguments["model"]).name == name
        assert arguments["dtype"] == "float32"
    assert VLLMPolicy.from_pretrained("tiny-universal", dtype="float16")._engine["dtype"] == "float16"
    with pytest.raises(ValueError, match="fresh tiny model"):
        VLLMPolicy.from_pretrained("tiny")


def test_adapters_of_one_model_share_an_engine(recorded, folder):
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_folder(folder / "base", "llama", False)
    for name in ("a", "b"):
        model = AutoModelForCausalLM.from_pretrained("base")
        peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules="all-linear")).save_pretrained(name)
        AutoTokenizer.from_pretrained("base").save_pretrained(name)
    answers = [VLLMPolicy.from_pretrained(name).act(PROMPTS[0])[0] for name in ("a", "b")]
    assert len(recorded) == 1
    assert recorded[0]["max_lora_rank"] == 8
    assert [answer.split()[:2] for answer in answers] == [["base", "a"], ["base", "b"]]
    assert answers[0].split()[2] != answers[1].split()[2]


def test_an_engine_that_does_not_start_is_one_line_with_the_cause(recorded, capfd):
    flags = ["tiny-universal", "--use-vllm", "--vllm-gpu-memory-utilization", "2", "--states", "2"]
    assert evaluate.main(flags) == 2
    err = capfd.readouterr().err
    assert "only 1 GiB of memory is free" in err.splitlines()[-1]
    assert "a page" not in err
    assert "See root cause" not in err


@pytest.mark.parametrize("command", [evaluate, compare])
def test_the_settings_of_vllm_reach_the_engine(recorded, command, capsys):
    flags = ["tiny-universal", "--states", "2", *(["--no-pictures"] if command is compare else [])]
    assert command.main([*flags, "--vllm-dtype", "bfloat16"]) == 2
    assert "--vllm-dtype needs --use-vllm" in capsys.readouterr().err
    settings = ["--vllm-gpu-memory-utilization", "0.5", "--vllm-dtype", "bfloat16", "--vllm-max-model-length", "900"]
    settings += ["--vllm-tensor-parallel-size", "2", "--vllm-enforce-eager"]
    assert command.main([*flags, "--use-vllm", *settings]) == 0
    (arguments,) = recorded
    expected = {"gpu_memory_utilization": 0.5, "dtype": "bfloat16", "max_model_len": 900, "tensor_parallel_size": 2}
    assert arguments | expected | {"enforce_eager": True} == arguments


def test_the_correction_of_vllms_probabilities_is_refused_with_truncated_sampling(monkeypatch):
    monkeypatch.setattr(import_module("trl.import_utils"), "is_vllm_available", lambda: True)
    for preset in ("tiny", "small-gpu", "qwen3-4b"):
        config = parse("grpo", ["--config", preset, "--use_cpu", "true", "--bf16", "false"]).grpo
        check_vllm(config, 400)  # these presets truncate, and set the correction to false
        config.vllm_importance_sampling_correction = True
        with pytest.raises(ValueError, match="min_p truncates"):
            check_vllm(config, 400)
        config.min_p, config.top_p, config.top_k = None, 1.0, 0
        check_vllm(config, 400)


# -- vLLM itself -----------------------------------------------------------------------------------------------


def test_vllm_answers_as_transformers_do(capfd):
    pytest.importorskip("vllm", reason="vLLM is not installed")
    for name in ("tiny-double-integrator", "tiny-universal"):  # the second closes the first's engine
        policy = VLLMPolicy.from_pretrained(name, **SMALL)
        assert policy.act(PROMPTS) == LLMPolicy.from_pretrained(name).act(PROMPTS)
    first, again = (policy.act(PROMPTS[:1] * 2, greedy=False, seed=1) for _ in range(2))
    assert first == again
    assert first[0] != first[1]
    (answer,) = policy.act(PROMPTS[:1], pattern=answer_pattern(SYSTEM))
    assert answer.startswith("<REASONING>")
    with pytest.raises(ValueError, match=r"vLLM cannot start with .*tiny-base: .*memory"):
        VLLMPolicy.from_pretrained("tiny-base", **SMALL | {"gpu_memory_utilization": 1.0}).act(PROMPTS[:1])
    assert "Traceback" not in capfd.readouterr().err


# -- the optimizer of the tiny model ---------------------------------------------------------------------------


def test_muons_state_is_an_ordinary_optimizers_and_older_checkpoints_load():
    def steps(model, optimizer, count):
        for i in range(count):
            torch.manual_seed(i)
            ids = torch.randint(0, 50, (2, 12))
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()

    def made(seed):
        model, _ = build_tiny(seed)
        return model, MuonAdamW(model, lr=1e-3)

    model, optimizer = made(0)
    steps(model, optimizer, 2)
    kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(kept, "kept.pt")
    steps(model, optimizer, 2)
    state, groups = kept["optimizer"]["state"], kept["optimizer"]["param_groups"]
    assert len(state) == len(list(model.parameters()))
    for older in (False, True):
        other, restored = made(1)
        kept = torch.load("kept.pt")
        other.load_state_dict(kept["model"])
        state, groups = kept["optimizer"]["state"], kept["optimizer"]["param_groups"]
        parts = [
            {
                "state": {i - group["params"][0]: state[i] for i in group["params"]},
                "param_groups": [{**group, "params": list(range(len(group["params"])))}],
            }
            for group in groups
        ]
        restored.load_state_dict({"parts": parts} if older else kept["optimizer"])
        steps(other, restored, 2)
        assert all(map(torch.equal, model.parameters(), other.parameters()))


# -- DeepSpeed and FSDP ----------------------------------------------------------------------------------------

SFT = "max_steps: 4\nsave_steps: 2\nlogging_steps: 1\nlearning_rate: 1.0e-2\nmax_length: null\nbf16: false\n"
SFT += "gradient_accumulation_steps: 1\nper_device_train_batch_size: {}\n"
RUN = ["--set", "dt=0.5", "--set", "horizon=10", "--bf16", "false", "--max_steps", "2", "--num_generations", "2"]
RUN += ["--save_steps", "1", "--max_completion_length", "200", "--temperature", "1.0", "--patience", "0"]
RUN += ["--eval-states", "2", "--eval-every", "2", "--skip-report"]


by_request = pytest.mark.skipif(
    "TEST_ENGINES" not in os.environ, reason="trains in several processes for minutes: set TEST_ENGINES=1"
)


def train(name, layout, *flags):
    """Trains in one process (no layout), or in two that share the batch."""
    batch, sft = (4, SFT) if layout is None else (2, SFT + "use_cpu: false\nddp_backend: gloo\n")
    Path(f"{name}.yaml").write_text(sft.format(batch))
    launcher = [sys.executable, str(Path(__file__).parent / "shards.py")]
    if layout:
        config = ["--config_file", str(CONFIGS / f"{layout}.yaml"), "--num_processes", "2", "--mixed_precision", "no"]
        launcher = [sys.executable, "-m", "accelerate.commands.launch", *config, launcher[1]]
        flags = (*flags, "--use_cpu", "false", "--ddp_backend", "gloo")
    flags = (*flags, *RUN, "--sft-config", f"{name}.yaml", "--per_device_train_batch_size", str(batch))
    done = subprocess.run(
        [*launcher, *flags, "--output-dir", name],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return RunFolder.open(name)


def losses(run):
    return [row["loss"] for row in run.metrics("sft") if "loss" in row]


def shares(phase):
    """The share of the weights that each of the two processes held."""
    seen = [json.loads(Path(f"shards-{phase}-{rank}.json").read_text()) for rank in (0, 1)]
    assert [row["distributed"] for row in seen] == [2, 2]
    return [row["held"] / row["whole"] for row in seen]


@by_request
@pytest.mark.slow
@pytest.mark.parametrize("layout", ["zero1", "zero2", "zero3"])
def test_deepspeed_trains_as_one_process_does(folder, layout):
    pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    make_folder(folder / "base", "qwen3", False)
    flags = ["--model", "base", "--lora-r", "0"]
    one, two = train("one", None, *flags), train("two", layout, *flags)
    assert list(two.record["phases"]) == ["data", "sft", "grpo", "evaluation"]
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)
    for phase in ("sft", "grpo"):
        # The optimizer's state lies in a file of each process; the weights are divided by ZeRO-3 alone.
        for checkpoint in (two.path / phase).glob("checkpoint-*/global_step*"):
            assert len(list(checkpoint.glob("*rank_[01]*optim_states.pt"))) == 2
        assert shares(phase) == pytest.approx([0.5, 0.5] if layout == "zero3" else [1, 1], abs=0.05)


@by_request
@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny", "base"])
def test_fsdp_trains_as_one_process_does(folder, model):  # accelerate refuses FSDP 1 without a GPU
    make_folder(folder / "base", "qwen3", False)
    flags = ["--model", model, *(["--lora-r", "0"] if model == "base" else [])]
    one, two = train("one", None, *flags), train("two", "fsdp2", *flags)
    assert list(two.record["phases"]) == ["data", "sft", "grpo", "evaluation"]
    assert losses(two) == pytest.approx(losses(one), rel=1e-2)
    for phase in ("sft", "grpo"):
        assert shares(phase) == pytest.approx([0.5, 0.5], abs=0.05)
