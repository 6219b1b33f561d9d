"""Samples tokens: only where the model is undecided, if asked to; on a CPU with one random number a row.

`model.generate` samples with `torch.multinomial`. On a CPU that draws one random number for every token of the
vocabulary in sequence, which takes nearly half of the tiny model's sampled generation (docs/performance.md). Inversion
of the distribution function needs one random number: the sampled token is the one at which the cumulative probability
exceeds it. The distribution is the same; the samples of a seed differ.

The generation setting ``greedy_below`` is our own: tokens whose distribution has a lower entropy, in nats, are not
sampled. A plan is a few decisions (which gains) and hundreds of computations (the next state). Sampled computations are
errors that hide what the decisions are worth. High-entropy tokens as those that decide: Wang et al., arXiv 2506.01939.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

__all__ = ["GreedyBelow", "InverseTransform", "sample_by_inversion"]

_MARK = "draws_by_inversion"
# Generation settings that the wrapper does not implement, with their neutral values. Any other value is left to
# transformers.
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
    """Samples each row's token by inversion of its distribution function, and leaves it as the only choice."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) that are 0 at the sampled token and minus infinity elsewhere."""
        cumulative = torch.softmax(scores, dim=-1).cumsum(dim=-1)
        threshold = torch.rand(len(scores), 1) * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, threshold, right=True).clamp(max=scores.shape[1] - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens, 0.0)


class GreedyBelow(LogitsProcessor):
    """Leaves only the likeliest token of each distribution whose entropy is below ``threshold`` nats."""

    def __init__(self, threshold: float):
        self.threshold = threshold

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V), in decided rows minus infinity except at their maximum."""
        logs = torch.log_softmax(scores.float(), dim=-1)
        decided = torch.special.entr(logs.exp()).sum(-1) < self.threshold
        likeliest = torch.full_like(scores, -torch.inf).scatter_(1, scores.argmax(-1, keepdim=True), 0.0)
        return torch.where(decided[:, None], likeliest, scores)


def sample_by_inversion(model: Any) -> None:
    """Wraps ``model.generate`` in place: it knows ``greedy_below``, and on a CPU it samples by inversion."""
    original = model.generate
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def generate(*args: Any, generation_config: GenerationConfig | None = None, **kwargs: Any) -> Any:
        processors = [*(kwargs.pop("logits_processor", None) or [])]
        if generation_config is not None and generation_config.do_sample:
            if threshold := getattr(generation_config, "greedy_below", None):
                processors.append(GreedyBelow(threshold))
            if model.device.type == "cpu" and _is_supported(generation_config):
                processors += [*_warpers(generation_config), InverseTransform()]
                generation_config = _greedy(generation_config)
        if processors:
            kwargs["logits_processor"] = LogitsProcessorList(processors)
        return original(*args, generation_config=generation_config, **kwargs)

    setattr(generate, _MARK, True)
    model.generate = generate


def _is_supported(config: GenerationConfig) -> bool:
    """Whether a config samples, uses nothing but what `_warpers` implements, and leaves no value to defaults."""
    neutral = all(getattr(config, name, None) in values for name, values in _NEUTRAL.items())
    complete = None not in (config.temperature, config.top_k, config.top_p)  # None means the model's own default
    return bool(config.do_sample) and neutral and complete


def _warpers(config: GenerationConfig) -> list[LogitsProcessor]:
    """The processors that transformers applies before sampling, in its order."""
    warpers: list[LogitsProcessor] = []
    if config.temperature != 1.0:
        warpers.append(TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        warpers.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1.0:
        warpers.append(TopPLogitsWarper(config.top_p))
    if config.min_p:
        warpers.append(MinPLogitsWarper(config.min_p))
    return warpers


def _greedy(config: GenerationConfig) -> GenerationConfig:
    """The config with greedy decoding, which picks the one token that `InverseTransform` leaves."""
    config = copy.copy(config)
    config.do_sample = False
    for name in ("temperature", "top_k", "top_p", "min_p"):
        setattr(config, name, None)
    return config
