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

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends keys and values (B, heads, new, d), and returns all of them (B, heads, length, d)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._rooms = (key_states[..., :0, :], value_states[..., :0, :])
            self.keys, self.values = self._rooms
        assert self.keys is not None
        assert self.values is not None
        length = self.get_seq_length()
        end = length + key_states.shape[-2]
        if self._rooms[0].shape[-2] < end or not self._is_own(self.keys):
            self._rooms = (_with_room(self.keys, max(2 * end, LEAST)), _with_room(self.values, max(2 * end, LEAST)))
        keys, values = (room[..., :end, :] for room in self._rooms)
        keys[..., length:, :], values[..., length:, :] = key_states, value_states
        self.keys, self.values = keys, values
        return keys, values

    def _is_own(self, keys: Tensor) -> bool:
        """Whether the held keys are the beginning of the room: rows may have been selected since."""
        room = self._rooms[0]
        return keys.data_ptr() == room.data_ptr() and keys.shape[:-2] == room.shape[:-2]


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
