"""Receding-horizon control by language model, at a fraction of a plan's cost.

Of each plan only the first controls are played, so that writing the rest is waste. `FirstControls` asks the model for
an answer as far as its first control. What comes before it is mostly what came before it one step earlier (the
same words, often the same stated law), so the last answer's beginning is put to the model as a guess, and one forward
pass over prompt and guess tells whether the model would write it and which control follows: greedy speculative
decoding (Leviathan et al., arXiv 2211.17192) with the last answer as the draft. Where the guess is wrong, the model
writes the answer anew. Either way the answer begins as the full one would.

A greedy answer depends on its prompt alone, and prompts print states to few decimals: trajectories that near the origin are
soon asking what was asked before, and a prompt is put to the model once a trajectory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from control_envs.text import CONTROLS, END_CONTROLS
from llm_agent.models.chat import encode

if TYPE_CHECKING:
    from llm_agent.policies.language_model import LLMPolicy

# One whole control as a single token of the embedded model's tokenizer. A number that a tokenizer spells in several
# tokens is only whole once what follows it is known, and is left to ordinary generation.
_WHOLE = re.compile(r"(-?\d+\.\d\d)(?:, )?")


class FirstControls:
    """Greedy answers as far as their first control, for prompts of the same trajectories step after step."""

    def __init__(self, policy: LLMPolicy):
        self._policy = policy
        self._known: dict[str, str] = {}

    def __call__(self, prompts: Sequence[str], drafts: Sequence[str] | None = None) -> list[str]:
        """The beginnings of the answers to B prompts: all of the text up to the first control, and that control.

        Args:
            drafts: what this returned for the same trajectories before; None where trajectories begin.
        """
        if drafts is None:
            self._known.clear()
        fresh = {prompt: i for i, prompt in enumerate(prompts) if prompt not in self._known}
        if fresh:
            begun = self._begun(list(fresh), None if drafts is None else [drafts[i] for i in fresh.values()])
            self._known.update(zip(fresh, begun, strict=True))
        return [self._known[prompt] for prompt in prompts]

    def _begun(self, prompts: list[str], drafts: list[str] | None) -> list[str]:
        answers: list[str | None] = [None] * len(prompts)
        if drafts is not None:
            answers = self._confirmed(prompts, [d[: d.find(CONTROLS) + len(CONTROLS)] for d in drafts])
        rest = [i for i, answer in enumerate(answers) if answer is None]
        written = self._written([prompts[i] for i in rest]) if rest else []
        for i, answer in zip(rest, written, strict=True):
            answers[i] = answer
        return [answer or "" for answer in answers]

    def _confirmed(self, prompts: list[str], drafts: list[str]) -> list[str | None]:
        """Each draft with the control that follows it, where the model would write both; else None."""
        tokenizer, model = self._policy.tokenizer, self._policy.model
        told = encode(tokenizer, prompts).input_ids
        guessed = tokenizer(drafts, add_special_tokens=False).input_ids
        answers: list[str | None] = [None] * len(prompts)
        groups: dict[tuple[int, int], list[int]] = {}
        for i, (a, b) in enumerate(zip(told, guessed, strict=True)):
            groups.setdefault((len(a), len(b)), []).append(i)
        for (_, length), rows in groups.items():
            ids = torch.tensor([told[i] + guessed[i] for i in rows], device=model.device)
            with torch.inference_mode():
                logits = model(input_ids=ids, use_cache=False, logits_to_keep=length + 1).logits
            best = logits.argmax(-1)
            same = (best[:, :-1] == ids[:, ids.shape[1] - length :]).all(dim=1).tolist()
            for i, agrees, token in zip(rows, same, best[:, -1].tolist(), strict=True):
                control = str(tokenizer.decode([token]))
                if agrees and (whole := _WHOLE.fullmatch(control)):
                    answers[i] = drafts[i] + whole[1]
        return answers

    def _written(self, prompts: list[str]) -> list[str]:
        """Ordinary greedy generation that stops once every answer holds its first control."""
        texts = self._policy.act(prompts, enough=lambda text: _first_control(text) is not None)
        return [_first_control(text) or text for text in texts]


def _first_control(text: str) -> str | None:
    """The text through its first control, once that is known to be whole; None before."""
    opened = text.find(CONTROLS)
    if opened < 0:
        return None
    body = text[opened + len(CONTROLS) :]
    ends = [at for mark in (",", ";", END_CONTROLS[0]) if (at := body.find(mark)) >= 0]
    return text[: opened + len(CONTROLS) + min(ends)] if ends else None
