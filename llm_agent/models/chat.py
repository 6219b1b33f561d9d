"""Encodes problems with the tokenizer's chat template.

A tokenizer without a chat template gets one that renders a message as its plain text. All models are then handled in
the same way, and a trained model works in any chat server. The answer follows the template's generation prompt and
ends with the tokenizer's end-of-text token. TRL renders conversational prompts with the same template, so training,
evaluation and use read the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["BARE", "encode", "messages", "rendered", "supply_template"]

BARE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def supply_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Gives a tokenizer without a chat template one that encodes a message exactly as its plain text."""
    if not tokenizer.chat_template:
        starts_with_bos = tokenizer.bos_token_id is not None and tokenizer("x").input_ids[0] == tokenizer.bos_token_id
        tokenizer.chat_template = "{{ bos_token }}" * starts_with_bos + BARE


def messages(prompt: str) -> list[dict[str, str]]:
    """A problem as a conversation."""
    return [{"role": "user", "content": prompt}]


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], **kwargs: Any) -> Any:
    """Tokens of B problems as the model reads them; ``kwargs`` go to the tokenizer."""
    return tokenizer(rendered(tokenizer, prompts), add_special_tokens=False, **kwargs)  # the template adds them


def rendered(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[str]:
    """B problems as the text that the model reads."""
    return [
        str(tokenizer.apply_chat_template(messages(prompt), tokenize=False, add_generation_prompt=True))
        for prompt in prompts
    ]
