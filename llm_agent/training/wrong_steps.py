"""Wrong steps in what a model reads of a trajectory with its working, so that it does not learn to copy earlier steps.

The steps of a trajectory resemble each other. A model that is taught with right ones only reads a number off the step
before instead of computing it. Once it has made an error, it makes the same error in the steps that follow
(docs/tiny_model.md). So in the input, now and then, the same numbers of several steps are wrong. A number is taught if
those before it in its own step are right, whatever earlier steps are.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

from llm_agent.data.working import LABELS
from llm_agent.models.tokenizer import NUMBER, number_families

__all__ = ["WrongSteps"]

LONGEST = 20  # wrong steps in a row
PLACES = 64  # of a step's tokens, counted from its controls
WRONG = 0.07  # share of the places with a wrong number


class WrongSteps:
    """Changes labelled numbers of random steps by one step of their grid, in the same places of successive steps.

    Args:
        tokenizer: the tiny model's tokenizer.
        share: the probability that wrong steps begin at a step; 0 for none.
        ignored: the label of a token that is not taught.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, share: float, ignored: int):
        self.share, self.ignored = share, ignored
        families = number_families(tokenizer)
        self._is_control = torch.zeros(len(tokenizer), dtype=torch.bool)
        self._is_control[families[NUMBER]] = True
        ids = torch.arange(len(tokenizer))
        self._changed = torch.stack([ids, ids, ids])  # by -1, 0 and 1 step of the grid
        for label in LABELS:
            family = torch.as_tensor(families.get(f" {label} {NUMBER}", []), dtype=torch.long)
            self._changed[0, family[1:]], self._changed[2, family[:-1]] = family[:-1], family[1:]

    def __call__(self, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Input ids and labels (B, T) with wrong steps, drawn with torch's random numbers of the CPU."""
        if not self.share:
            return ids, labels
        # A step ends with its last control, the only number without label and separator.
        right = ids.cpu()
        controls = self._is_control[right]
        step = controls.cumsum(dim=1) - controls.long()
        token = torch.arange(ids.shape[1]).expand_as(step)
        last = torch.where(controls, token, 0).cummax(dim=1).values.roll(1, dims=1)
        last[:, 0] = 0
        read = self._changed[self._draw_changes(step, (token - last).clamp(max=PLACES - 1)), right]
        wrong = (read != right).long()
        before = wrong.cumsum(dim=1) - wrong
        untaught = before > before.gather(1, last)
        return read.to(ids.device), labels.masked_fill(untaught.to(ids.device), self.ignored)

    def _draw_changes(self, step: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """A row of ``self._changed`` for each token (B, T), from the number of its step and its place in the step."""
        rows, steps = len(step), int(step.max()) + 1
        begins, length = torch.rand(rows, steps) < self.share, torch.randint(1, LONGEST + 1, (rows, steps))
        drawn = torch.rand(rows, steps, PLACES)  # by -1 below half of the share, by 1 above one less half of it
        change = 1 + (drawn > 1 - WRONG / 2).long() - (drawn < WRONG / 2).long()
        index = torch.arange(steps).expand(rows, steps)
        begun = torch.where(begins, index, -1).cummax(dim=1).values
        is_wrong = (begun >= 0) & (index - begun < length.gather(1, begun.clamp(min=0)))
        begun, is_wrong = begun.clamp(min=0).gather(1, step), is_wrong.gather(1, step)
        return torch.where(is_wrong, change[torch.arange(rows)[:, None], begun, place], 1)
