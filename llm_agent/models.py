"""Loading a causal language model: the embedded tiny one, a run's, a local folder's, or the hub's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import System, format_completion, format_prompt, get_system
from control_envs._extras import need
from llm_agent import checkpoints, tiny_model
from llm_agent.chat import encode, supply_template
from llm_agent.laws import Reasoning, format_reasoning
from llm_agent.run_folder import RunFolder
from llm_agent.tokenizer import build_tokenizer, writes_states

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Model = PreTrainedModel | PeftModel
    Tokenizer = PreTrainedTokenizerBase

# No code that comes with a model is run, and no pickle is opened.
SAFE: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}


def load_model(
    name: str | Path, seed: int = 0, trainable: bool = False, four_bit: bool = False
) -> tuple[Model, Tokenizer]:
    """A causal model and its tokenizer.

    Args:
        name: "tiny" for a fresh embedded model, a run folder, a Hugging Face folder (of a model or of a LoRA
            adapter), or a hub id.
        seed: initial weights of a fresh tiny model.
        trainable: an adapter is loaded for further training.
        four_bit: a pretrained model's weights in four bits (NF4 of QLoRA: Dettmers et al., arXiv 2305.14314).

    Raises:
        ValueError: nothing of that name can be loaded.
        ImportError: four bits are asked for without bitsandbytes.
    """
    from llm_agent.sampling import sample_by_inversion

    model, tokenizer = _load(name, seed, trainable, _in_four_bits() if four_bit else {})
    sample_by_inversion(model)
    return model, tokenizer


def _in_four_bits() -> dict[str, Any]:
    need("bitsandbytes", "quantized")
    import torch
    from transformers import BitsAndBytesConfig

    precision = torch.bfloat16 if torch.accelerator.is_available() else torch.float32
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision,
        )
    }


def _load(name: str | Path, seed: int, trainable: bool, quantization: dict[str, Any]) -> tuple[Model, Tokenizer]:
    if str(name) == tiny_model.NAME:
        return tiny_model.build_tiny(seed)
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    source, tokenizer = resolve(name), load_tokenizer(name)
    try:
        if (Path(source) / "adapter_config.json").is_file():
            from peft import AutoPeftModelForCausalLM

            model = AutoPeftModelForCausalLM.from_pretrained(source, is_trainable=trainable, **SAFE, **quantization)
        else:
            model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", **SAFE, **quantization)
            if tiny_model.holds_tiny(model):
                model.float()  # shipped models are stored in half precision
    except (OSError, ValueError, SafetensorError) as error:
        raise _cannot_load(name, error) from error
    embedded = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > embedded:
        raise ValueError(
            f"{name}: its tokenizer has {len(tokenizer)} tokens and its model {embedded}, so that they do not belong "
            "together; copy the tokenizer's files from where the model comes from"
        )
    return model, tokenizer


def load_tokenizer(name: str | Path) -> Tokenizer:
    """The tokenizer of a model, padding on the left, with a chat template.

    Raises:
        ValueError: nothing of that name can be loaded.
    """
    if str(name) == tiny_model.NAME:
        return build_tokenizer()
    from huggingface_hub import logging as hub
    from transformers import AutoTokenizer

    hub.set_verbosity_error()  # a hub that is out of reach is said once, below, and not at each of its retries
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve(name), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _cannot_load(name, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    supply_template(tokenizer)
    return tokenizer


def _cannot_load(name: str | Path, error: Exception) -> ValueError:
    known = ", ".join([tiny_model.NAME, *checkpoints.shipped()])
    return ValueError(
        f"cannot load model {str(name)!r}: give one of ours ({known}), a run folder, a Hugging Face model folder, or a "
        f"hub id; without a network fetch it elsewhere first, with  hf download {name}, and bring its folder here "
        f"({str(error).strip().partition(chr(10))[0]})"
    )


def is_tiny(name: str | Path) -> bool:
    """Whether the model is the embedded one: fresh, in a run, or in a folder."""
    if str(name) == tiny_model.NAME:
        return True
    if (Path(name) / "run.json").is_file():
        return is_tiny(RunFolder.open(name).settings["model"])
    config = (checkpoints.find(name) or Path(name)) / "config.json"
    return config.is_file() and json.loads(config.read_text()).get(tiny_model.MARK) is True


def lora_config(model: Model, r: int, alpha: int) -> LoraConfig | None:
    """LoRA on the attention and MLP projections; None for the tiny model, a model that has an adapter, or r = 0."""
    if r == 0 or hasattr(model, "peft_config") or tiny_model.holds_tiny(model):
        return None
    from peft import LoraConfig

    return LoraConfig(r=r, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def resolve(name: str | Path) -> str:
    """The folder or hub id to load: a shipped model's folder, or of a run's folder the model it has come to."""
    if found := checkpoints.find(name):
        return str(found)
    if (Path(name) / "run.json").is_file():
        return str(RunFolder.open(name).model_folder())
    return str(name)


def quicken(model: Model, bf16: bool, use_cpu: bool) -> None:
    """Chooses the attention that trains the tiny model fastest: torch's fused one is slow in bfloat16 on a CPU."""
    if bf16 and use_cpu and tiny_model.holds_tiny(model):
        model.set_attn_implementation("eager")


def check_spelling(tokenizer: Tokenizer, systems: list[str]) -> None:
    """Makes sure that a tokenizer can write the problems it is meant for.

    Raises:
        ValueError: it cannot spell the prompt of a plant.
    """
    for system in map(get_system, systems):
        prompt = format_prompt(system, system.x0_bounds[:, 0])
        spelt = str(tokenizer.decode(tokenizer(prompt).input_ids, skip_special_tokens=True))
        if "".join(spelt.split()) != "".join(prompt.split()):
            raise ValueError(
                f"the tokenizer cannot spell {system.name}'s prompt, and reads it as {spelt[:60]!r}...: "
                "this model was made for something else; choose another --model"
            )


def completion_room(tokenizer: Tokenizer, systems: list[str], requested: int | None) -> int:
    """How many tokens a completion may take: as requested, or what the longest reasoning needs and a few more.

    Raises:
        ValueError: an ordinary answer does not fit into what was requested.
    """
    plants = [get_system(name) for name in systems]
    needed = max(answer_tokens(tokenizer, system) for system in plants)
    if requested is not None and requested < needed:
        raise ValueError(
            f"max_completion_length {requested} cannot hold an answer, which takes {needed} tokens with this "
            f"tokenizer: give --max_completion_length {needed} or more"
        )
    longest: Reasoning = "states" if writes_states(tokenizer) else "waypoints"
    return requested or max(answer_tokens(tokenizer, system, longest) for system in plants) + 8


def prompt_tokens(tokenizer: Tokenizer, systems: Sequence[str]) -> int:
    """Tokens of the longest problem as the model reads it."""
    plants = [get_system(name) for name in systems]
    prompts = [format_prompt(plant, plant.x0_bounds[:, 0]) for plant in plants]
    return max(map(len, encode(tokenizer, prompts).input_ids))


def answer_tokens(tokenizer: Tokenizer, system: System, reasoning: Reasoning = "brief") -> int:
    """Tokens of a long ordinary answer: the reasoning, a full plan at the lower bounds, and the end."""
    controls = np.tile(system.u_bounds[:, 0], (system.horizon, 1))
    states = np.tile(system.x_bounds[:, 0], (system.horizon + 1, 1))
    thought = format_reasoning(
        reasoning, np.full((system.m, system.n), 10.0), states[:-1] if reasoning == "states" else states, controls
    )
    return len(tokenizer(format_completion(controls, thought), add_special_tokens=False).input_ids) + 1
