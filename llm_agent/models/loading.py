"""Loads a causal language model: the embedded tiny one, a run's, one from a local folder, or one from the hub."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_envs.utils.optional import need
from llm_agent.models import fetched, shipped
from llm_agent.models import tiny as tiny_model
from llm_agent.models.chat import supply_template
from llm_agent.models.freed_memory import keep_freed_memory
from llm_agent.models.tokenizer import build_tokenizer
from llm_agent.storage.run_folder import RUNS, START, RunFolder, is_run

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Model = PreTrainedModel | PeftModel
    Tokenizer = PreTrainedTokenizerBase

__all__ = [
    "ADAPTER",
    "SAFE",
    "base_of",
    "is_tiny",
    "load_model",
    "load_tokenizer",
    "lora_config",
    "quicken",
    "resolve",
    "weights_size",
]

ADAPTER = "adapter_config.json"
# Never runs code that comes with a model, and never opens a pickle.
SAFE: dict[str, Any] = {"trust_remote_code": False, "use_safetensors": True}


def load_model(
    name: str | Path, seed: int = 0, trainable: bool = False, four_bit: bool = False
) -> tuple[Model, Tokenizer]:
    """A causal model and its tokenizer.

    The model's ``generate`` is wrapped: on a CPU it samples by inversion of the distribution function instead of
    ``torch.multinomial`` (`llm_agent.models.sampling`). The distribution is the same, but a seed gives other samples
    than the unwrapped ``generate``. Greedy decoding, accelerators and sampling options that the wrapper does not
    handle are unchanged. For the tiny model on a CPU, the cache of keys and values has room to grow
    (`llm_agent.models.growing_cache`), and the process keeps freed memory (`llm_agent.models.freed_memory`).

    Args:
        name: "tiny" for a fresh embedded model, the name of a shipped model, a run folder, a Hugging Face folder (of
            a model or of a LoRA adapter), or a hub id.
        seed: the seed of a fresh tiny model's weights.
        trainable: loads an adapter for further training.
        four_bit: loads a pretrained model's weights in four bits (NF4 of QLoRA: Dettmers et al., arXiv 2305.14314).

    Raises:
        ValueError: no model of that name can be loaded.
        ImportError: ``four_bit`` without bitsandbytes.
    """
    from llm_agent.models.growing_cache import generate_with_room
    from llm_agent.models.sampling import sample_by_inversion

    model, tokenizer = _load(name, seed, trainable, _in_four_bits() if four_bit else {})
    sample_by_inversion(model)
    if tiny_model.holds_tiny(model) and model.device.type == "cpu":
        keep_freed_memory()
        generate_with_room(model)
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
        adapter = Path(source) / ADAPTER
        base = base_of(adapter) if adapter.is_file() else source
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto", **SAFE, **quantization)
        if adapter.is_file():
            from peft import PeftModel

            if len(tokenizer) > model.get_input_embeddings().num_embeddings:  # the adapter came with new tokens
                model.resize_token_embeddings(len(tokenizer))
            model = PeftModel.from_pretrained(model, source, is_trainable=trainable)
        elif tiny_model.holds_tiny(model):
            model.float()  # shipped models are stored in half precision
    except (OSError, ValueError, SafetensorError) as error:
        raise _cannot_load(name, error) from error
    embedded = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > embedded:
        raise ValueError(
            f"{name}: the tokenizer has {len(tokenizer)} tokens and the model {embedded}, so they do not belong "
            "together; copy the tokenizer's files from the model's source"
        )
    return model, tokenizer


def load_tokenizer(name: str | Path) -> Tokenizer:
    """The tokenizer of a model, padding on the left, with a chat template.

    Args:
        name: as for `load_model`.

    Raises:
        ValueError: no tokenizer of that name can be loaded.
    """
    if str(name) == tiny_model.NAME:
        return build_tokenizer()
    from huggingface_hub import logging as hub
    from transformers import AutoTokenizer

    hub.set_verbosity_error()  # an unreachable hub gives one error below, not a warning at each retry
    source = resolve(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _cannot_load(name, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    supply_template(tokenizer)
    return tokenizer


def base_of(adapter: Path) -> str:
    """The model that an adapter belongs to; a fetched one also if another machine's cache folder is named."""
    base = Path(json.loads(adapter.read_text())["base_model_name_or_path"])
    return resolve(base.name) if fetched.is_fetched_name(base.name) and not base.is_dir() else str(base)


def _cannot_load(name: str | Path, error: Exception) -> ValueError:
    known = ", ".join([tiny_model.NAME, *shipped.shipped(), *fetched.FETCHED])
    return ValueError(
        f"cannot load model {str(name)!r}: give one of {known}, a run folder, a Hugging Face model folder, or a hub "
        f"id; without a network, run  hf download {name}  on another machine and copy the folder here "
        f"({str(error).strip().partition(chr(10))[0]})"
    )


def is_tiny(name: str | Path) -> bool:
    """Whether a name stands for the embedded tiny model: fresh, shipped, in a run, or in a folder."""
    if str(name) == tiny_model.NAME:
        return True
    if is_run(name):
        return is_tiny(RunFolder.open(name).settings["model"])
    config = (shipped.find(name) or Path(name)) / "config.json"
    return config.is_file() and json.loads(config.read_text()).get(tiny_model.MARK) is True


def lora_config(model: Model, r: int, alpha: int) -> LoraConfig | None:
    """LoRA on the attention and MLP projections; None for the tiny model, a model that has an adapter, or r = 0."""
    if r == 0 or hasattr(model, "peft_config") or tiny_model.holds_tiny(model):
        return None
    from peft import LoraConfig

    return LoraConfig(r=r, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def resolve(name: str | Path) -> str:
    """The folder or hub id to load: a shipped model's folder, a run's latest trained model, or the name itself."""
    if found := shipped.find(name) or fetched.find(name):
        return str(found)
    if fetched.is_fetched_name(name) and not Path(name).exists():
        raise ValueError(f"the model {name} is not here yet: run  python -m llm_agent.fetch {name}")
    if is_run(name):
        return str(RunFolder.open(name).model_folder())
    if not Path(name).exists():
        if Path(name).parts[: len(RUNS.parts)] == RUNS.parts:
            raise ValueError(f"there is no run {name}: {START}, or name a model")
        _announce_hub(str(name))
    return str(name)


@cache
def _announce_hub(name: str) -> None:
    """Says once that a model is looked for on the hub, since the tries take most of a minute without a network."""
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        print(f"asking the Hugging Face hub for {name} (not with HF_HUB_OFFLINE=1)", file=sys.stderr)


def weights_size(name: str | Path) -> int:
    """Bytes of a model's weights on disk; 0 if the model is not on this disk yet."""
    if str(name) == tiny_model.NAME:
        return tiny_model.WEIGHTS_SIZE
    return sum(file.stat().st_size for file in Path(resolve(name)).glob("*.safetensors"))


def quicken(model: Model, bf16: bool, use_cpu: bool, tokens: int) -> None:
    """Sets eager attention for the tiny model in bfloat16 on a CPU, where fused attention is slow on short texts.

    Args:
        tokens: length of the longest texts. At 300 tokens, both kinds of attention take the same time.
    """
    if bf16 and use_cpu and tokens < 300 and tiny_model.holds_tiny(model):
        model.set_attn_implementation("eager")
