"""The size of a model, from its configuration alone: nothing is downloaded and no weights are allocated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SHAPES", "Size", "config_of", "size_of", "uses_builtin_shape"]

# Configurations of the presets' models and of a larger one, used where a model is not downloaded.
_QWEN3 = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True}
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-0.6B-Base": {
        **_QWEN3,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
    },
    "Qwen/Qwen3-4B-Base": {
        **_QWEN3,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
    },
    "Qwen/Qwen3-32B": {
        **_QWEN3,
        "hidden_size": 5120,
        "intermediate_size": 25600,
        "num_hidden_layers": 64,
        "num_attention_heads": 64,
        "tie_word_embeddings": False,
    },
}


@dataclass(frozen=True)
class Size:
    """The quantities of a model that the estimate depends on."""

    weights: int
    trained: int
    layers: int
    hidden: int
    vocabulary: int
    cache_per_token: int  # numbers in the key-value cache per token


def size_of(config: Any, lora_r: int, lora_alpha: int) -> Size:
    """The size of a model with this configuration, built on torch's meta device: no memory, no download."""
    import torch
    from transformers import AutoModelForCausalLM

    from llm_agent.models.loading import lora_config
    from llm_agent.models.memory import cache_per_token

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    weights = sum(p.numel() for p in model.parameters())
    adapter = lora_config(model, lora_r, lora_alpha)
    if adapter is not None:
        from peft import get_peft_model

        with torch.device("meta"):
            model = get_peft_model(model, adapter)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    cache = cache_per_token(config)
    return Size(weights, trained, config.num_hidden_layers, config.hidden_size, config.vocab_size, cache)


def config_of(model: str, shape: str | None) -> Any:
    """The configuration of a model, or the one that ``shape`` ("TYPE:NAME=VALUE,...") describes.

    Raises:
        ValueError: ``shape`` is malformed, or the model has no configuration here.
    """
    from transformers import AutoConfig

    from llm_agent.models import tiny as tiny_model
    from llm_agent.models.loading import resolve

    if shape:
        kind, _, settings = shape.partition(":")
        try:
            values = {key: int(value) for key, value in (pair.split("=") for pair in settings.split(",") if pair)}
            return AutoConfig.for_model(kind, **values)
        except (ValueError, KeyError) as error:
            raise ValueError(f"--shape must read TYPE:hidden_size=1024,num_hidden_layers=28,...; {error}") from None
    if model == tiny_model.NAME:
        return tiny_model.build_tiny()[0].config
    if uses_builtin_shape(model):
        return AutoConfig.for_model("qwen3", **SHAPES[model])
    try:
        return AutoConfig.from_pretrained(resolve(model), trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot load the configuration of {model!r}: give --shape ({reason})") from None


def uses_builtin_shape(model: str) -> bool:
    """Whether a model's configuration comes from `SHAPES`: it is there, and the model is not downloaded."""
    from huggingface_hub import try_to_load_from_cache

    return model in SHAPES and not isinstance(try_to_load_from_cache(model, "config.json"), str)
