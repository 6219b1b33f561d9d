"""Batches of about equal lengths, in an order that mixes them.

Texts of several plants differ in length by a factor of two and more, and a batch costs what its longest costs. Of
transformers' own ``group_by_length`` this keeps the batches and shuffles their order: there, lengths fall within each
fifty batches, so that the optimizer's momentum would follow one plant at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

_STEP = 64  # tokens: lengths that differ by less are alike, so that plants of equal horizons share batches


class SimilarLengths(Sampler[int]):
    """Indices of a dataset, shuffled so that each batch holds texts of about equal lengths.

    Args:
        lengths: of the texts, in tokens.
        batch_size: texts in a batch.
        seed: of the order, which changes with each epoch.
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
        last = batches.pop()  # it may be a short one, which belongs at the end
        rng.shuffle(batches)
        yield from np.concatenate([*batches, last]).tolist()
