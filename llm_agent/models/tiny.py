"""The embedded tiny model: a small causal transformer, built from a config and trained from scratch.

The architecture is a standard Llama, so ``AutoModelForCausalLM`` loads it. Two things differ: the tokenizer has one
token for each number, and the embedding is initialised so that part of each number token's vector holds Fourier
features of its value. Numbers that are close then have similar vectors before any training. docs/tiny_model.md has the
measurements behind each choice.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from control_envs import SYSTEMS
from llm_agent.data.component_sum import STATE_DECIMALS
from llm_agent.data.step_sums import product_turns, step_sums
from llm_agent.models.tokenizer import build_tokenizer, number_tokens

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = [
    "FOURIER_SHARE",
    "FREQUENCIES",
    "INIT_STD",
    "MARK",
    "NAME",
    "SLOPE",
    "TURNS",
    "build_tiny",
    "holds_tiny",
    "registered_turns",
    "renewed",
    "save_tiny",
]

NAME = "tiny"
MARK = "control_grpo_tiny"  # in config.json: this folder holds the embedded model
WEIGHTS_SIZE = 5_000_000  # bytes, about, in float32
INIT_STD = 0.02
# The share of the embedding that is initialised with Fourier features, their lowest and highest frequency in cycles per
# unit, and the exponent of their amplitude over frequency. It is negative, so that close values have closer vectors.
FOURIER_SHARE = 0.5
FREQUENCIES = (0.05, 32.0)
SLOPE = -0.5
TURNS = 16  # at most: frequencies of the registered plants' products
SLOWEST = 1.0  # of them, in turns per unit; the spread frequencies do for others
_ALIKE = 0.005  # relative differences of frequencies that do not matter
_FINE = re.compile(rf"\.\d{{{STATE_DECIMALS}}}")  # in the token of a state's fine part


def build_tiny(seed: int = 0, fourier: bool = True) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A fresh model of about a million parameters and its tokenizer.

    Args:
        seed: the seed of the initial weights.
        fourier: initialises number tokens with Fourier features of their values; otherwise at random like all others.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=True,
        initializer_range=INIT_STD,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    setattr(config, MARK, True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    if fourier:
        _embed_numbers(model.model.embed_tokens.weight.data, tokenizer)
    return model, tokenizer


def holds_tiny(model: PreTrainedModel | PeftModel) -> bool:
    """Whether a loaded model is the embedded tiny model."""
    return bool(getattr(model.config, MARK, False))


def renewed(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A tiny model of an older vocabulary with today's: what it has learned, and new tokens as in a fresh model.

    An adapter is merged into it.
    """
    import torch
    from peft import PeftModel

    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    new, new_tokenizer = build_tiny()
    old_ids = tokenizer.get_vocab()
    shared = [(i, old_ids[token]) for token, i in new_tokenizer.get_vocab().items() if token in old_ids]
    rows, old_rows = map(list, zip(*shared, strict=True))
    old = model.state_dict()
    with torch.no_grad():
        for name, weight in new.state_dict().items():
            if weight.shape == old[name].shape:
                weight.copy_(old[name])
            else:
                weight[rows] = old[name][old_rows]
    return new, new_tokenizer


def save_tiny(folder: str | Path, seed: int = 0) -> None:
    """Writes a fresh tiny model and its tokenizer as an ordinary Hugging Face folder."""
    model, tokenizer = build_tiny(seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _embed_numbers(embedding: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Overwrites the first dimensions of every number token's vector with Fourier features of its value, in place.

    Most of the frequencies are spread over all scales. The others are those at which products with the registered
    plants' coefficients turn modulo a hundredth, or for fine parts the first harmonics of a hundredth.
    """
    import torch

    ids, values = number_tokens(tokenizer)
    pairs = int(embedding.shape[1] * FOURIER_SHARE) // 2
    turns = registered_turns()
    spread = np.geomspace(*FREQUENCIES, pairs - len(turns))
    amplitude = np.concatenate([spread**SLOPE / np.sqrt(np.mean(spread ** (2 * SLOPE))), np.ones(len(turns))])
    fine = np.array([bool(_FINE.search(token)) for token in tokenizer.convert_ids_to_tokens(ids.tolist())])
    own = np.where(fine[:, None], np.arange(len(turns)) + 1.0, turns)
    phase = 2 * math.pi * values[:, None] * np.concatenate([np.tile(spread, (len(ids), 1)), own], axis=1)
    features = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * np.tile(amplitude, 2) * math.sqrt(2) * INIT_STD
    embedding[torch.as_tensor(ids), : 2 * pairs] = torch.as_tensor(features, dtype=embedding.dtype)


def registered_turns() -> np.ndarray:
    """How fast products with the registered plants' coefficients turn (`product_turns`), the fastest first."""
    turns: list[float] = []
    for turn in np.concatenate([product_turns(s.linear) for system in SYSTEMS.values() for s in step_sums(system)]):
        if turn > SLOWEST and not np.isclose(turn, turns, rtol=_ALIKE).any():
            turns.append(float(turn))
    return np.sort(turns)[::-1][:TURNS]
