"""Structured output: answers kept to a regular expression while they are written (Willard & Louf, arXiv 2307.09702).

`control_envs.text.answer_pattern` is the expression of a plant's answers. A model that knows the task but slips in the
format loses nothing of what it knows; one that knows neither answers in form, and is judged by its controls.
vLLM does the same with the same expression (``vllm_structured_outputs_regex``, `llm_agent.policies.vllm`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor

from control_envs.utils.optional import need
from llm_agent.models.tokenizer import byte_alphabet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Pattern:
    """A regular expression over one tokenizer's tokens.

    Args:
        expression: in the syntax of Rust's ``regex``, without look-around.
        tokenizer: a fast tokenizer that spells in bytes (byte-level BPE, or pieces with byte fallback).

    Raises:
        ValueError: the expression is invalid, or the tokenizer can write no text that matches.
        ImportError: outlines-core is missing.
    """

    def __init__(self, expression: str, tokenizer: PreTrainedTokenizerBase):
        core: Any = need("outlines_core", "structured")
        self.end = tokenizer.eos_token_id
        try:
            index = core.Index(expression, core.Vocabulary(self.end, spellings(tokenizer)))
        except ValueError as error:
            raise ValueError(f"this tokenizer cannot be kept to {expression[:80]!r}...: {error}") from None
        self.start: int = index.get_initial_state()
        self._next: dict[int, dict[int, int]] = index.get_transitions()
        self._allowed: dict[int, torch.Tensor] = {}

    def after(self, state: int, token: int) -> int:
        """The state after a token; the end token leads nowhere else."""
        return self._next.get(state, {}).get(token, state)

    def allowed(self, state: int) -> torch.Tensor:
        """Ids of the tokens that may follow."""
        if state not in self._allowed:
            self._allowed[state] = torch.tensor(sorted(self._next.get(state) or [self.end]))
        return self._allowed[state]


class KeepTo(LogitsProcessor):
    """Forbids each of B completions every token after which it could not match the pattern any more."""

    def __init__(self, pattern: Pattern):
        self._pattern = pattern
        self._states: list[int] | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) with minus infinity at what is forbidden; called once for every token."""
        if self._states is None:
            self._states = [self._pattern.start] * len(input_ids)
        else:
            self._states = [
                self._pattern.after(s, t) for s, t in zip(self._states, input_ids[:, -1].tolist(), strict=True)
            ]
        kept = torch.full_like(scores, -torch.inf)
        for i, state in enumerate(self._states):
            ids = self._pattern.allowed(state).to(scores.device)
            kept[i, ids] = scores[i, ids]
        return kept


def spellings(tokenizer: PreTrainedTokenizerBase) -> dict[bytes, list[int]]:
    """The bytes that tokens stand for, and the ids of each; special tokens are left out."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())  # type: ignore[attr-defined]
    spell = _byte_level if "ByteLevel" in json.dumps(backend["decoder"]) else _pieces
    found: dict[bytes, list[int]] = {}
    for token, i in tokenizer.get_vocab().items():
        if i not in tokenizer.all_special_ids and (text := spell(token)):
            found.setdefault(text, []).append(i)
    return found


def _byte_level(token: str) -> bytes:
    """A token of GPT-2's printable bytes; one that was added as text stands for itself."""
    known = byte_alphabet()
    return bytes(known[c] for c in token) if all(c in known for c in token) else token.encode()


def _pieces(token: str) -> bytes:
    """A piece of SentencePiece's: a low line for each blank, and single bytes in hexadecimal."""
    if byte := _BYTE.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode()
