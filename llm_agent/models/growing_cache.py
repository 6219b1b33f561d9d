"""A cache of keys and values that has room to grow, for long answers."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

__all__ = ["GrowingLayer", "generate_with_room", "growing_cache"]

LEAST = 64  # tokens of room
_MARK = "has_room"


class GrowingLayer(DynamicLayer):
    """A layer of transformers' dynamic cache that copies what it holds only when its room is full, which then doubles.

    The dynamic cache copies it for every token: for an answer of a thousand tokens, that takes longer than the model.
    `benchmarks.generation` compares them.
    """

    _rooms: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends keys and values (B, heads, new, d), and returns all of them (B, heads, length, d)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._rooms = None
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if not self._is_own() or self._rooms[0].shape[-2] < end:
            self._rooms = tuple(  # type: ignore[assignment]
                _with_room(held if length else new[..., :0, :], max(2 * end, LEAST))
                for held, new in ((self.keys, key_states), (self.values, value_states))
            )
        for room, new in zip(self._rooms, (key_states, value_states), strict=True):
            room[..., length:end, :] = new
        self.keys, self.values = (room[..., :end, :] for room in self._rooms)
        return self.keys, self.values

    def _is_own(self) -> bool:
        """Whether the held keys are the beginning of the room: rows may have been selected since."""
        if self._rooms is None:
            return False
        room = self._rooms[0]
        return self.keys.data_ptr() == room.data_ptr() and self.keys.shape[:-2] == room.shape[:-2]


def growing_cache(config: PretrainedConfig) -> DynamicCache:
    """An empty cache for a model whose layers all attend to the whole text."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() for _ in cache.layers]
    return cache


def generate_with_room(model: Any) -> None:
    """Wraps ``model.generate`` in place: its cache is a `growing_cache`, unless it is given one."""
    original = model.generate
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def generate(*args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("past_key_values", growing_cache(model.config))
        return original(*args, **kwargs)

    setattr(generate, _MARK, True)
    model.generate = generate


def _with_room(held: Tensor, length: int) -> Tensor:
    """Room for ``length`` tokens that begins with what is held."""
    room = held.new_empty(*held.shape[:-2], length, held.shape[-1])
    room[..., : held.shape[-2], :] = held
    return room
