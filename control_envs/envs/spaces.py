"""A Text space that works with AsyncVectorEnv's shared memory.

Gymnasium 1.4 decodes a batch of texts only once, when it builds the vector environment, and then returns those blank
texts for every step. Batches of `PlainText` read the shared memory at each access.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from gymnasium.spaces import Text
from gymnasium.vector.utils.shared_memory import read_from_shared_memory

__all__ = ["ASCII", "PlainText", "SharedTexts"]

ASCII = frozenset(string.printable) - frozenset("\x0b\x0c")


class PlainText(Text):
    """Printable ASCII text of at most ``max_length`` characters."""

    def __init__(
        self,
        max_length: int,
        *,
        min_length: int = 0,
        charset: frozenset[str] | str = ASCII,
        seed: int | np.random.Generator | None = None,
    ):
        super().__init__(max_length, min_length=min_length, charset=charset, seed=seed)


class SharedTexts(Sequence[str]):
    """The texts that a block of shared memory currently holds; a deep copy is a tuple of strings."""

    def __init__(self, space: PlainText, codes: np.ndarray):
        self._space, self._codes = space, codes

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self)[index]
        codes = self._codes[index]
        return "".join(self._space.character_list[code] for code in codes if code < len(self._space.character_set))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return tuple(self)


@read_from_shared_memory.register(PlainText)
def _read_plain_text(space: PlainText, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(space, np.frombuffer(shared_memory.get_obj(), dtype=np.int32).reshape(n, space.max_length))
