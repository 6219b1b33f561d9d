"""Receding-horizon control with a language model, without generating whole plans.

Only the first control of each plan is played, so the rest need not be generated. `FirstControls` generates an answer up
to its first control. The text before that control is often the same as one step earlier (the same words and gains).
The previous answer's beginning is therefore a draft: one forward pass over prompt and draft shows whether the model
would write the draft, and which control follows. This is greedy speculative decoding (Leviathan et al., arXiv
2211.17192). Where the draft is rejected, the model generates the answer from scratch. In both cases the result is a
prefix of the full greedy answer.

A greedy answer depends on its prompt only, and prompts round states to two decimals, so prompts repeat as trajectories
approach the origin. Answers are cached, and the model sees each prompt once per rollout.
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

__all__ = ["FirstControls"]

# A control that is a single token of the embedded model's tokenizer. With a tokenizer that splits numbers, a control is
# complete only when the next token is known; those are left to ordinary generation.
_COMPLETE = re.compile(r"(-?\d+\.\d\d)(?:, )?")


class FirstControls:
    """Greedy answers up to their first control, for the prompts of a batch of trajectories, step after step.

    Args:
        policy: the language model.
    """

    def __init__(self, policy: LLMPolicy):
        self._policy = policy
        self._cache: dict[str, str] = {}

    def __call__(self, prompts: Sequence[str], drafts: Sequence[str] | None = None) -> list[str]:
        """The beginnings of the answers to B prompts, up to and including the first control.

        Args:
            prompts: one for each trajectory.
            drafts: what this returned for the same trajectories one step earlier; None at their first step.
        """
        if drafts is None:
            self._cache.clear()
        new = {prompt: i for i, prompt in enumerate(prompts) if prompt not in self._cache}
        if new:
            answers = self._answer(list(new), None if drafts is None else [drafts[i] for i in new.values()])
            self._cache.update(zip(new, answers, strict=True))
        return [self._cache[prompt] for prompt in prompts]

    def _answer(self, prompts: list[str], drafts: list[str] | None) -> list[str]:
        answers: list[str | None] = [None] * len(prompts)
        if drafts is not None:
            answers = self._verify(prompts, [d[: d.find(CONTROLS) + len(CONTROLS)] for d in drafts])
        missing = [i for i, answer in enumerate(answers) if answer is None]
        generated = self._generate([prompts[i] for i in missing]) if missing else []
        for i, answer in zip(missing, generated, strict=True):
            answers[i] = answer
        return [answer or "" for answer in answers]

    def _verify(self, prompts: list[str], drafts: list[str]) -> list[str | None]:
        """Each draft with the control that follows it, if the model would write both; else None."""
        tokenizer, model = self._policy.tokenizer, self._policy.model
        prompt_ids = encode(tokenizer, prompts).input_ids
        draft_ids = tokenizer(drafts, add_special_tokens=False).input_ids
        answers: list[str | None] = [None] * len(prompts)
        groups: dict[tuple[int, int], list[int]] = {}  # rows of equal lengths need no padding
        for i, (a, b) in enumerate(zip(prompt_ids, draft_ids, strict=True)):
            groups.setdefault((len(a), len(b)), []).append(i)
        for (_, length), rows in groups.items():
            ids = torch.tensor([prompt_ids[i] + draft_ids[i] for i in rows], device=model.device)
            with torch.inference_mode():
                logits = model(input_ids=ids, use_cache=False, logits_to_keep=length + 1).logits
            best = logits.argmax(-1)
            accepted = (best[:, :-1] == ids[:, ids.shape[1] - length :]).all(dim=1).tolist()
            for i, is_accepted, token in zip(rows, accepted, best[:, -1].tolist(), strict=True):
                control = str(tokenizer.decode([token]))
                if is_accepted and (complete := _COMPLETE.fullmatch(control)):
                    answers[i] = drafts[i] + complete[1]
        return answers

    def _generate(self, prompts: list[str]) -> list[str]:
        """Ordinary greedy generation that stops once every answer contains its first control."""
        texts = self._policy.act(prompts, enough=lambda text: _first_control(text) is not None)
        return [_first_control(text) or text for text in texts]


def _first_control(text: str) -> str | None:
    """The text up to and including its first control; None until that control is complete."""
    tag = text.find(CONTROLS)
    if tag < 0:
        return None
    body = text[tag + len(CONTROLS) :]
    ends = [end for mark in (",", ";", END_CONTROLS[0]) if (end := body.find(mark)) >= 0]
    return text[: tag + len(CONTROLS) + min(ends)] if ends else None
