"""Wrong steps in what a model reads of a trajectory with its working, so that it does not learn to copy earlier steps.

The steps of a trajectory resemble each other. A model that is taught with right ones only reads a number off the step
before, and once it has made an error, it makes the same error in the steps that follow (docs/tiny_model.md). So now and
then some steps are wrong in the input. They are not taught; the steps after them are, from the state that is written.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

from llm_agent.data.working_text import LABELS
from llm_agent.models.tokenizer import NUMBER, number_families

__all__ = ["WrongSteps"]

LONGEST = 4  # wrong steps in a row


class WrongSteps:
    """Changes labelled numbers of random steps by at most one step of their grid.

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
        controls = self._is_control.to(ids.device)[ids].long()
        step = controls.cumsum(dim=1) - controls  # a step ends with its last control, which has no separator
        shape = (len(ids), int(step.max()) + 1)
        begins, length = torch.rand(shape) < self.share, torch.randint(1, LONGEST + 1, shape)
        wrong = begins.clone()
        for later in range(1, LONGEST):
            wrong[:, later:] |= (begins & (length > later))[:, :-later]
        is_wrong = wrong.to(ids.device).gather(1, step)
        change = torch.randint(len(self._changed), ids.shape).to(ids.device)
        changed = self._changed.to(ids.device)[change, ids]
        return torch.where(is_wrong, changed, ids), labels.masked_fill(is_wrong, self.ignored)
