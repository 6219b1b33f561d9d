"""Credit assignment: the advantage of each token of a plan.

The environment gives a running score after every control, so a token can be credited with the reward from its control
on instead of the whole plan's reward. Tokens before the first control, such as stated gains, are credited with the
whole reward.

* ``outcome``: plain GRPO; every token has the whole plan's advantage.
* ``process``: process supervision of DeepSeekMath (arXiv 2402.03300, section 4.1.3). Each control's reward is
  normalised over all controls of the group; a token's advantage is the sum from its control on.
* ``to_go``: the return from the token's control on, minus the group's mean of that return, divided by the group's
  standard deviation of whole returns. The baseline does not depend on the token, so the gradient is unbiased.
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

__all__ = ["CREDITS", "Credit", "control_advantages", "control_rewards", "controls_before", "token_starts"]

Credit = Literal["outcome", "process", "to_go"]
CREDITS: tuple[Credit, ...] = ("outcome", "process", "to_go")
_EPSILON = 1e-4  # added to standard deviations, as TRL does


def control_rewards(
    systems: Sequence[str], x0: Sequence[Sequence[float]], texts: Sequence[str], version: str, progress: float = 0.0
) -> Array:
    """The reward of each control: increments of the running score, (B, longest horizon); NaN where there is no control.

    Args:
        systems: B names of plants.
        x0: B initial states.
        texts: B completions; a completion without a plan gives a row of NaN.
        version: reward version.
        progress: training progress, in [0, 1].
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
    """The advantage of a token by the number of controls that are complete before it, (B, N + 1).

    A completion without a plan has the advantage of ``outcome`` everywhere.

    Args:
        earned: `control_rewards` of B completions, (B, N); each ``num_generations`` rows in a row form a group.
        totals: whole rewards of the completions, format rewards included, (B,).
        num_generations: completions in a group.
        credit: "process" or "to_go".
    """
    groups = earned.reshape(-1, num_generations, earned.shape[1])
    whole = totals.reshape(-1, num_generations)
    outcome = (whole - whole.mean(1, keepdims=True)) / (whole.std(1, ddof=1, keepdims=True) + _EPSILON)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of groups without a plan are NaN, replaced below
        per_control = _process(groups) if credit == "process" else _to_go(groups, whole)
    planned = ~np.isnan(groups[..., :1])
    advantages = np.where(planned, np.nan_to_num(per_control), outcome[..., None])
    if credit == "to_go":
        advantages[..., 0] = outcome  # before the first control, the return is the whole reward
    return advantages.reshape(len(totals), -1)


def _process(groups: Array) -> Array:
    mean = np.nanmean(groups, axis=(1, 2), keepdims=True)
    spread = np.nanstd(groups, axis=(1, 2), keepdims=True)
    return _sum_to_end((groups - mean) / (spread + _EPSILON))


def _to_go(groups: Array, whole: Array) -> Array:
    returns = np.where(np.isnan(groups[..., :1]), np.nan, _sum_to_end(groups))
    spread = whole.std(1, ddof=1)[:, None, None]
    return (returns - np.nanmean(returns, axis=1, keepdims=True)) / (spread + _EPSILON)


def _sum_to_end(groups: Array) -> Array:
    """Sums over the last axis from each index to the end, then a 0 for the end itself; NaN counts as 0."""
    sums = np.cumsum(np.nan_to_num(groups)[..., ::-1], axis=-1)[..., ::-1]
    return np.concatenate([sums, np.zeros((*sums.shape[:-1], 1))], axis=-1)


def controls_before(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], m: int = 1) -> np.ndarray:
    """The number of controls that are complete before each token of a completion begins, shape (len(ids),).

    Args:
        tokenizer: the tokenizer of the ids.
        ids: token ids of one completion.
        m: the plant's number of inputs.
    """
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
    """The position in the text at which each token begins, shape (len(ids),).

    The tokenizer's offsets are used if encoding the text gives the same ids; otherwise each prefix is decoded.
    """
    if tokenizer.is_fast:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        if list(encoded.input_ids) == list(ids):
            return np.array([start for start, _ in encoded.offset_mapping], dtype=np.int64)
    lengths = [len(tokenizer.decode(list(ids[:i]), clean_up_tokenization_spaces=False)) for i in range(len(ids))]
    return np.array(lengths, dtype=np.int64)
