"""Structured output: constrains answers to a regular expression during generation (Willard & Louf, arXiv 2307.09702).

`control_envs.text.answer_pattern` gives the expression of a plant's answers. It rules out format errors, except in
answers that are cut off, so that the controls alone decide. vLLM accepts the same expression
(``vllm_structured_outputs_regex``, `llm_agent.policies.vllm`).
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

__all__ = ["KeepTo", "Pattern", "spellings"]

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Pattern:
    """A regular expression as a finite automaton over one tokenizer's tokens.

    Args:
        expression: in the syntax of Rust's ``regex``, without look-around.
        tokenizer: a fast tokenizer that can spell any text (byte-level BPE, or SentencePiece with byte fallback).

    Attributes:
        start: the automaton's initial state.
        end: the id of the end-of-text token.

    Raises:
        ValueError: the expression is invalid, or the tokenizer cannot write any text that matches it.
        ImportError: outlines-core is missing.
    """

    def __init__(self, expression: str, tokenizer: PreTrainedTokenizerBase):
        core: Any = need("outlines_core", "structured")
        self.end = tokenizer.eos_token_id
        try:
            index = core.Index(expression, core.Vocabulary(self.end, spellings(tokenizer)))
        except ValueError as error:
            raise ValueError(f"this tokenizer cannot be constrained to {expression[:80]!r}...: {error}") from None
        self.start: int = index.get_initial_state()
        self._next: dict[int, dict[int, int]] = index.get_transitions()
        self._allowed: dict[int, torch.Tensor] = {}

    def after(self, state: int, token: int) -> int:
        """The automaton's state after a token; the end token leaves it unchanged."""
        return self._next.get(state, {}).get(token, state)

    def allowed(self, state: int) -> torch.Tensor:
        """Ids of the tokens that may follow in a state."""
        if state not in self._allowed:
            self._allowed[state] = torch.tensor(sorted(self._next.get(state) or [self.end]))
        return self._allowed[state]


class KeepTo(LogitsProcessor):
    """A logits processor that forbids every token after which a completion could no longer match the pattern.

    Args:
        pattern: the pattern of all B completions.
    """

    def __init__(self, pattern: Pattern):
        self._pattern = pattern
        self._states: list[int] | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) with minus infinity at forbidden tokens; must be called once for every token."""
        if self._states is None:
            self._states = [self._pattern.start] * len(input_ids)
        else:
            self._states = [
                self._pattern.after(s, t) for s, t in zip(self._states, input_ids[:, -1].tolist(), strict=True)
            ]
        masked = torch.full_like(scores, -torch.inf)
        for i, state in enumerate(self._states):
            ids = self._pattern.allowed(state).to(scores.device)
            masked[i, ids] = scores[i, ids]
        return masked


def spellings(tokenizer: PreTrainedTokenizerBase) -> dict[bytes, list[int]]:
    """The ids of the tokens that spell each string of bytes; special tokens are left out."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())  # type: ignore[attr-defined]
    spell = _byte_level if "ByteLevel" in json.dumps(backend["decoder"]) else _sentencepiece
    ids: dict[bytes, list[int]] = {}
    for token, i in tokenizer.get_vocab().items():
        if i not in tokenizer.all_special_ids and (text := spell(token)):
            ids.setdefault(text, []).append(i)
    return ids


def _byte_level(token: str) -> bytes:
    """The bytes of a byte-level token; a token that was added as plain text is encoded as it is."""
    alphabet = byte_alphabet()
    return bytes(alphabet[c] for c in token) if all(c in alphabet for c in token) else token.encode()


def _sentencepiece(token: str) -> bytes:
    """The bytes of a SentencePiece token: U+2581 stands for a blank, <0x..> for a single byte."""
    if byte := _BYTE.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return token.replace("\u2581", " ").encode()
