"""A Text space that survives AsyncVectorEnv's shared memory.

Gymnasium (1.4) decodes a batch of texts once, when the vector environment is built, and hands out that blank
tuple ever after. `PlainText` reads the shared memory whenever it is looked at.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
from gymnasium.spaces import Text
from gymnasium.vector.utils.shared_memory import read_from_shared_memory

ASCII = frozenset(string.printable) - frozenset("\x0b\x0c")


class PlainText(Text):
    """Printable ASCII text of at most ``max_length`` characters."""

    def __init__(self, max_length: int, *, min_length: int = 0, charset=ASCII, seed=None):
        super().__init__(max_length, min_length=min_length, charset=charset, seed=seed)


class SharedTexts(Sequence):
    """The texts that a block of shared memory holds now; a deep copy of it is a plain tuple of strings."""

    def __init__(self, space: PlainText, codes: np.ndarray):
        self._space, self._codes = space, codes

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return tuple(self)[index]
        codes = self._codes[index]
        return "".join(self._space.character_list[code] for code in codes if code < len(self._space.character_set))

    def __deepcopy__(self, memo) -> tuple[str, ...]:
        return tuple(self)


@read_from_shared_memory.register(PlainText)
def _read_plain_text(space: PlainText, shared_memory, n: int = 1) -> SharedTexts:
    return SharedTexts(space, np.frombuffer(shared_memory.get_obj(), dtype=np.int32).reshape(n, space.max_length))
