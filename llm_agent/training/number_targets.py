"""Soft targets for number tokens, and their cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from control_envs.text import DECIMALS
from llm_agent.models.tokenizer import NUMBER, number_families

__all__ = ["NumberTargets", "cross_entropy", "linear_cross_entropy"]

NARROWEST = 0.1  # width in steps of the grid; narrower targets are one-hot
CHUNK = 512  # tokens whose logits are held at once: a few megabytes, which a processor's cache holds


class NumberTargets:
    """Gaussian targets over a number token's neighbours on the value grid.

    Args:
        tokenizer: the tiny model's tokenizer.
        width: initial standard deviation of the targets, in units of the value.
        bare: that of bare numbers, the controls in a trajectory with its working; None for the same.
        until: share of training after which targets are one-hot.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        width: float,
        bare: float | None = None,
        until: float = 0.9,
    ):
        self.until = until
        bare = width if bare is None else bare
        reach = round(3 * max(width, bare) * 10**DECIMALS)
        self._offsets = torch.arange(-reach, reach + 1)
        # A token that is not a number has only itself as neighbour, so that its target stays one-hot.
        self._neighbours = torch.arange(len(tokenizer))[:, None].repeat(1, len(self._offsets))
        self._widths = torch.full((len(tokenizer),), width)
        for form, family in number_families(tokenizer).items():
            ids = torch.as_tensor(family)
            near = torch.arange(len(ids))[:, None] + self._offsets
            self._neighbours[ids] = ids[near.clamp(0, len(ids) - 1)]
            self._widths[ids] = bare if form == NUMBER else width

    def of(self, labels: torch.Tensor, training_progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens near each of the labels (T,), and their shares of the target, both (T, K)."""
        still_soft = max(1.0 - training_progress / self.until, 0.0)
        widths = self._widths.to(labels.device)[labels] * still_soft * 10**DECIMALS
        if not (widths > NARROWEST).any():
            return labels[:, None], torch.ones((len(labels), 1), device=labels.device)
        distances = self._offsets.to(labels.device) / widths[:, None].clamp(min=NARROWEST)
        return self._neighbours.to(labels.device)[labels], torch.softmax(-0.5 * distances**2, dim=1)


def cross_entropy(logits: torch.Tensor, near: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Of each token, shape (T,), from logits (T, V) and what `NumberTargets.of` gives, both (T, K)."""
    # log_softmax, since logsumexp is slow on a CPU: exp underflows for a confident model's logits.
    return -(torch.log_softmax(logits, dim=1).gather(1, near) * shares).sum(dim=1)


def linear_cross_entropy(
    hidden: torch.Tensor, weight: torch.Tensor, near: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """The sum over tokens of the cross-entropy of the logits ``hidden @ weight.T``, without holding all of them.

    Gradients are computed with the loss, a chunk of tokens at a time, as in Liger-Kernel's FusedLinearCrossEntropy
    (Hsu et al. 2024, arXiv:2410.10989). `benchmarks.tiny_model` times it.

    Args:
        hidden: last hidden states (T, d); matrix products are computed in their type.
        weight: of the output layer, (V, d).
        near: the tokens among which a target is shared, (T, K).
        shares: of each of them, (T, K); their sum is the token's weight in the loss.
    """
    total: torch.Tensor = _LinearCrossEntropy.apply(hidden, weight, near, shares)
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, near: torch.Tensor, shares: torch.Tensor
    ) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        matrix = weight.to(hidden.dtype)
        for start in range(0, len(hidden), CHUNK):
            part = slice(start, start + CHUNK)
            logits = (hidden[part] @ matrix.T).float()
            logits -= logits.amax(dim=1, keepdim=True)
            targets = (logits.gather(1, near[part]) * shares[part]).sum(dim=1)
            probabilities = logits.exp_()
            sums = probabilities.sum(dim=1, keepdim=True)
            weights = shares[part].sum(dim=1, keepdim=True)
            total += (sums.log() * weights).sum() - targets.sum()
            probabilities *= weights / sums
            errors = probabilities.scatter_add_(1, near[part], -shares[part]).to(hidden.dtype)
            to_hidden[part] = errors @ matrix
            to_weight += errors.T @ hidden[part]
        ctx.save_for_backward(to_hidden, to_weight.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        to_hidden, to_weight = ctx.saved_tensors
        return to_hidden * gradients[0], to_weight * gradients[0], None, None
