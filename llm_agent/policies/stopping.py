"""Ends completions at the closing tag: a pretrained model may go on with prose, or with the next problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase, StoppingCriteria

from control_envs.text import END_CONTROLS, THOUGHT_TAGS, without_thoughts
from llm_agent.models.chat import rendered
from llm_agent.models.tiny import holds_tiny

if TYPE_CHECKING:
    from llm_agent.models.loading import Model

__all__ = ["EndOfAnswer", "end_of_answer"]

_TAIL = 16  # last tokens in which the closing tag is looked for; it is spelt with at most so many


class EndOfAnswer(StoppingCriteria):
    """Ends each completion of a batch at its first ``</CONTROLS>`` outside of thoughts.

    Args:
        tokenizer: the model's tokenizer.
        start: number of prompt tokens.
        opened: for each prompt the tag of a thought that it ends with, or "".
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, start: int, opened: Sequence[str]):
        self._tokenizer, self._start, self._opened = tokenizer, start, opened

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: object) -> torch.Tensor:
        tails = self._texts(input_ids[:, max(self._start, input_ids.shape[1] - _TAIL) :])
        ended = [END_CONTROLS in tail and self._has_ended(input_ids, i) for i, tail in enumerate(tails)]
        return torch.tensor(ended, device=input_ids.device)

    def _has_ended(self, input_ids: torch.Tensor, row: int) -> bool:
        (text,) = self._texts(input_ids[row : row + 1, self._start :])
        return END_CONTROLS in without_thoughts(self._opened[row] + text)

    def _texts(self, tokens: torch.Tensor) -> list[str]:
        return self._tokenizer.batch_decode(tokens, skip_special_tokens=True)


def end_of_answer(
    model: Model, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], start: int
) -> list[StoppingCriteria]:
    """The criterion for a batch of prompts; none for the embedded model, which was taught to end there itself.

    Args:
        model: the model that answers.
        tokenizer: its tokenizer.
        prompts: B problems.
        start: number of prompt tokens.
    """
    if holds_tiny(model):
        return []
    return [EndOfAnswer(tokenizer, start, [_opened_thought(text) for text in rendered(tokenizer, prompts)])]


def _opened_thought(prompt: str) -> str:
    """The tag that a rendered prompt ends with, if its chat template opens the model's thoughts; else ""."""
    ending = prompt.rstrip()
    return next((f"<{tag}>" for tag in THOUGHT_TAGS if ending.endswith(f"<{tag}>")), "")
