"""Which token earned what: a plan's reward spread over the controls that it was earned with.

The environment knows the running score after every control, so a token can be credited with what came after it rather
than with the whole plan. Whatever comes before the first control, such as a stated law, is credited with all of it.

* ``outcome``: GRPO as it is; every token gets the whole plan's advantage.
* ``process``: process supervision of DeepSeekMath (arXiv 2402.03300, section 4.1.3): each control's reward, normalised
  over all controls of the group; a token's advantage is the sum from its control on.
* ``to_go``: the return from the token's control on, less the group's mean of the same return, over the group's standard
  deviation of whole returns. The baseline does not depend on the token, so the gradient is unbiased.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from control_envs import get_system
from control_envs.rewards.running import running_scores
from control_envs.text import CONTROLS, END_CONTROLS, answer_region
from control_envs.text.batch_parser import parse_completions
from control_envs.utils.types import Array

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Credit = Literal["outcome", "process", "to_go"]
CREDITS: tuple[Credit, ...] = ("outcome", "process", "to_go")
_TINY = 1e-4  # TRL's, beside a standard deviation


def control_rewards(
    systems: Sequence[str], x0: Sequence[Sequence[float]], texts: Sequence[str], version: str, progress: float = 0.0
) -> Array:
    """What each control earned: increments of the running score, (B, longest horizon); NaN where there is no control.

    Args:
        systems: B names of plants.
        x0: B initial states.
        texts: B completions; one that holds no plan has a row of NaN.
        version: of the reward.
        progress: of the training, in [0, 1].
    """
    horizons = {name: get_system(name).horizon for name in systems}
    earned = np.full((len(texts), max(horizons.values())), np.nan)
    for name, horizon in horizons.items():
        system, rows = get_system(name), np.flatnonzero(np.array(systems) == name)
        parsed = parse_completions([texts[int(i)] for i in rows], horizon, system.m)
        rows = rows[parsed.valid]
        if len(rows):
            starts = np.array([x0[int(i)] for i in rows])
            scores = running_scores(system, starts, parsed.controls, version, progress)
            earned[rows, :horizon] = np.diff(scores, axis=1, prepend=0.0)
    return earned


def control_advantages(earned: Array, totals: Array, num_generations: int, credit: Credit) -> Array:
    """The advantage of a token by how many controls are complete before it, (B, N + 1).

    Args:
        earned: `control_rewards` of B completions, (B, N), groups of ``num_generations`` one after the other.
        totals: their whole rewards (B,), format rewards included.
        num_generations: completions in a group.
        credit: "process" or "to_go". A completion without a plan has its outcome's advantage everywhere.
    """
    groups = earned.reshape(-1, num_generations, earned.shape[1])
    whole = totals.reshape(-1, num_generations)
    outcome = (whole - whole.mean(1, keepdims=True)) / (whole.std(1, ddof=1, keepdims=True) + _TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no plan at all is NaN, and not used
        per_control = _process(groups) if credit == "process" else _to_go(groups, whole)
    planned = ~np.isnan(groups[..., :1])
    advantages = np.where(planned, np.nan_to_num(per_control), outcome[..., None])
    if credit == "to_go":
        advantages[..., 0] = outcome  # before the first control the return is the whole reward
    return advantages.reshape(len(totals), -1)


def _process(groups: Array) -> Array:
    mean = np.nanmean(groups, axis=(1, 2), keepdims=True)
    spread = np.nanstd(groups, axis=(1, 2), keepdims=True)
    return _from_here_on((groups - mean) / (spread + _TINY))


def _to_go(groups: Array, whole: Array) -> Array:
    returns = np.where(np.isnan(groups[..., :1]), np.nan, _from_here_on(groups))
    spread = whole.std(1, ddof=1)[:, None, None]
    return (returns - np.nanmean(returns, axis=1, keepdims=True)) / (spread + _TINY)


def _from_here_on(groups: Array) -> Array:
    """Sums over the last axis from each index to the end, and 0 after it; NaN counts as nothing."""
    sums = np.cumsum(np.nan_to_num(groups)[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([sums, np.zeros((*sums.shape[:-1], 1))], axis=-1)


def controls_before(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], m: int = 1) -> np.ndarray:
    """How many controls are complete before each token of a completion begins, shape (len(ids),)."""
    text = str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
    region, verdict = answer_region(text)
    starts = token_starts(tokenizer, ids, text)
    if verdict != "ok":
        return np.zeros(len(ids), dtype=np.int64)
    first = text.find(CONTROLS) + len(CONTROLS)
    separator = "," if m == 1 else ";"
    ends = [first + i for i, character in enumerate(region) if character == separator] + [text.find(END_CONTROLS)]
    return np.searchsorted(ends, starts, side="right")


def token_starts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], text: str) -> np.ndarray:
    """Where in the text each token begins: from the tokenizer's offsets, if it would spell the text the same way."""
    if tokenizer.is_fast:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if list(encoded.input_ids) == list(ids):
            return np.array([start for start, _ in encoded.offset_mapping], dtype=np.int64)
    lengths = [len(tokenizer.decode(list(ids[:i]), clean_up_tokenization_spaces=False)) for i in range(len(ids))]
    return np.array(lengths, dtype=np.int64)
