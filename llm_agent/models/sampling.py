"""Drawing tokens on a CPU with one random number a row.

`model.generate` draws with `torch.multinomial`, which on a CPU makes a random number for every word of the vocabulary,
one after the other: with the tiny model nearly half of sampled generation (docs/performance.md). Inversion of the
distribution function needs one: the token at which the summed probabilities pass it. Same distribution, other draws.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

_MARK = "draws_by_inversion"
# What these would do is left to transformers: sampling that asks for any of them is not ours.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "num_beams": (None, 1),
    "num_return_sequences": (None, 1),
    "typical_p": (None, 1.0),
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
    "top_h": (None,),
    "renormalize_logits": (None, False),
}


class InverseTransform(LogitsProcessor):
    """Draws each row's token by inversion of its distribution function, and leaves it as the only choice."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) that are 0 at the token drawn and minus infinity elsewhere."""
        summed = torch.softmax(scores, dim=-1).cumsum(dim=-1)
        at = torch.rand(len(scores), 1) * summed[:, -1:]
        drawn = torch.searchsorted(summed, at, right=True).clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn, 0.0)


def sample_by_inversion(model: Any) -> None:
    """Makes ``model.generate`` draw by inversion wherever it samples on a CPU; all else is as it was."""
    original = model.generate
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def generate(*args: Any, generation_config: GenerationConfig | None = None, **kwargs: Any) -> Any:
        if generation_config is not None and model.device.type == "cpu" and _is_ours(generation_config):
            given = kwargs.pop("logits_processor", None) or []
            processors = [*given, *_warpers(generation_config), InverseTransform()]
            kwargs["logits_processor"] = LogitsProcessorList(processors)
            generation_config = _greedy(generation_config)
        return original(*args, generation_config=generation_config, **kwargs)

    setattr(generate, _MARK, True)
    model.generate = generate


def _is_ours(config: GenerationConfig) -> bool:
    plain = all(getattr(config, name, None) in neutral for name, neutral in _NEUTRAL.items())
    stated = None not in (config.temperature, config.top_k, config.top_p)  # what is not stated has defaults elsewhere
    return bool(config.do_sample) and plain and stated


def _warpers(config: GenerationConfig) -> list[LogitsProcessor]:
    """What transformers applies before it samples, in its order."""
    found: list[LogitsProcessor] = []
    if config.temperature != 1.0:
        found.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        found.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1.0:
        found.append(TopPLogitsWarper(config.top_p))
    if config.min_p:
        found.append(MinPLogitsWarper(config.min_p))
    return found


def _greedy(config: GenerationConfig) -> GenerationConfig:
    """The same generation without sampling: the one choice that is left is the best."""
    config = copy.copy(config)
    config.do_sample = False
    for name in ("temperature", "top_k", "top_p", "min_p"):
        setattr(config, name, None)
    return config
