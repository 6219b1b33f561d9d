"""How many completions a model can write at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil
import torch

if TYPE_CHECKING:
    from llm_agent.models.loading import Model

__all__ = ["LARGEST", "batch_that_fits", "cache_per_token"]

LARGEST = 256
# On a CPU, a batch of a pretrained model is bound by arithmetic: a larger one is no faster, and progress shows later.
LARGEST_ON_CPU = 32
SHARE = 0.5  # of the free memory; the rest is for activations and whatever else runs
_LOGITS = 3  # copies of a step's logits in float32: the model's, the scaled ones, and their probabilities


def batch_that_fits(model: Model, tokens: int) -> int:
    """The number of completions of one call of ``generate``, by free memory.

    Args:
        model: a causal model.
        tokens: of a prompt and its completion.
    """
    config = model.config.get_text_config()
    cache = cache_per_token(config) * tokens * model.dtype.itemsize
    fitting = int(SHARE * _free_memory(model.device) / (cache + 4 * _LOGITS * config.vocab_size))
    return max(1, min(LARGEST_ON_CPU if model.device.type == "cpu" else LARGEST, fitting))


def cache_per_token(config: Any) -> int:
    """Numbers that the key-value cache holds for each token, of a model with this configuration."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
