"""Demonstrations replayed during GRPO, so that what the model computes stays exact while what it decides changes.

GRPO's gradient comes from the few tokens that decide, such as gains, but it moves weights that computations share. The
cross-entropy of a batch of demonstrations, added to GRPO's loss, keeps the computations in place (PPO-ptx: Ouyang et
al., arXiv 2203.02155, equation 2). The gains that a demonstration states are left out of it: they are GRPO's to choose.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llm_agent.data.reasoning import gains_end
from llm_agent.training.credit import token_starts
from llm_agent.training.sft import IGNORED, tokenize

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

__all__ = ["Replay"]


class Replay:
    """An endless stream of batches of demonstrations.

    Args:
        rows: demonstrations, as made by `llm_agent.data.demonstrations.make_demonstrations`.
        tokenizer: the model's tokenizer.
        size: demonstrations in a batch.
    """

    def __init__(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, size: int):
        self._size, self._padding = size, tokenizer.pad_token_id
        tokens = tokenize(rows, tokenizer)
        self._ids, self._labels = list(tokens["input_ids"]), list(tokens["labels"])
        for labels, text in zip(self._labels, rows["taught"], strict=True):
            prompt = labels.count(IGNORED)
            starts = token_starts(tokenizer, labels[prompt:-1], text)  # without the end token
            stated = int(np.count_nonzero(starts < gains_end(text)))
            labels[prompt : prompt + stated] = [IGNORED] * stated
        self._order = cycle(range(len(self._ids)))

    def _batch(self) -> list[int]:
        return list(islice(self._order, self._size))

    def loss(self, model: Any) -> torch.Tensor:
        """The mean cross-entropy of the next batch."""
        chosen = self._batch()
        ids = self._padded([self._ids[i] for i in chosen], self._padding, model.device)
        labels = self._padded([self._labels[i] for i in chosen], IGNORED, model.device)
        # Padding stands on the right, where causal attention from the texts does not reach.
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED
        )

    @staticmethod
    def _padded(rows: list[list[int]], value: int, device: torch.device) -> torch.Tensor:
        tensors = [torch.tensor(row) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value).to(device)
