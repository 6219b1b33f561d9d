"""Batches of texts of similar lengths, in an order that mixes the lengths.

Texts of different plants differ in length by a factor of two and more, and a batch costs as much as its longest text.
transformers' own ``group_by_length`` sorts by length within each fifty batches, so that the optimizer's momentum
follows one plant at a time; here, the order of the batches is random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

__all__ = ["SimilarLengths"]

_STEP = 64  # tokens: texts that differ by less may share a batch, so that plants of equal horizons mix


class SimilarLengths(Sampler[int]):
    """Indices of a dataset, shuffled so that each batch holds texts of similar lengths.

    Args:
        lengths: lengths of the texts, in tokens.
        batch_size: number of texts in a batch.
        seed: the seed of the order, which changes with each epoch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self._class = np.asarray(lengths) // _STEP
        self._batch_size, self._seed, self._epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return len(self._class)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate at the start of each epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        order = rng.permutation(len(self._class))
        order = order[np.argsort(self._class[order], kind="stable")]
        batches = np.split(order, range(self._batch_size, len(order), self._batch_size))
        last = batches.pop()  # it may be short, so it belongs at the end
        rng.shuffle(batches)
        yield from np.concatenate([*batches, last]).tolist()
