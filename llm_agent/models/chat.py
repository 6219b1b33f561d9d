"""How a problem is put to a model: in its tokenizer's chat template, or as it is where the tokenizer has none.

Such a tokenizer is supplied with a template that renders a message as its bare text, so that there is one way for
all, and a trained model answers in any chat server. The answer follows what the template says to generate after, and
ends with the tokenizer's end of text. TRL renders conversational prompts with the same template, so that training,
evaluation and use all read the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BARE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def supply_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Gives a tokenizer that has no chat template one that adds nothing to what it would read of the bare text."""
    if not tokenizer.chat_template:
        begins = tokenizer.bos_token_id is not None and tokenizer("x").input_ids[0] == tokenizer.bos_token_id
        tokenizer.chat_template = "{{ bos_token }}" * begins + BARE


def messages(prompt: str) -> list[dict[str, str]]:
    """A problem as a conversation."""
    return [{"role": "user", "content": prompt}]


def encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], **kwargs: Any) -> Any:
    """Tokens of B problems as the model reads them; ``kwargs`` are the tokenizer's own."""
    texts = [
        str(tokenizer.apply_chat_template(messages(prompt), tokenize=False, add_generation_prompt=True))
        for prompt in prompts
    ]
    return tokenizer(texts, add_special_tokens=False, **kwargs)  # the template has put those that it wants
