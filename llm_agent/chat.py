"""How a problem is put to a model: as it is, or in the model's own chat template where its tokenizer has one.

The answer follows what the template says to generate after, and ends with the tokenizer's end of text. TRL renders
conversational prompts with the same template, so that training, evaluation and use all read the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def has_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether problems are put as a chat."""
    return bool(tokenizer.chat_template)


def messages(prompt: str) -> list[dict[str, str]]:
    """A problem as a conversation."""
    return [{"role": "user", "content": prompt}]


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], **kwargs: Any) -> Any:
    """Tokens of B problems as the model reads them; ``kwargs`` are the tokenizer's own."""
    if not has_template(tokenizer):
        return tokenizer(list(prompts), **kwargs)
    texts = [
        str(tokenizer.apply_chat_template(messages(prompt), tokenize=False, add_generation_prompt=True))
        for prompt in prompts
    ]
    return tokenizer(texts, add_special_tokens=False, **kwargs)  # the template has put those that it wants
