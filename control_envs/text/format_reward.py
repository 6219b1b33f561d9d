"""Format rewards: for the exact format, or tag by tag."""

from __future__ import annotations

from control_envs.rewards import FormatReward
from control_envs.text.format import CONTROLS, END_CONTROLS, END_REASONING, FORMAT_TAGS, MAX_CHARS

__all__ = ["approximate_format_reward", "exact_format_reward", "is_exact_format"]


def is_exact_format(text: str) -> bool:
    """Whether each tag occurs once and in order, with only blanks between the parts and after the last."""
    if len(text) > MAX_CHARS or any(text.count(tag) != 1 for tag in FORMAT_TAGS):
        return False
    _, _, rest = text.partition(END_REASONING)
    between, found, answer = rest.partition(CONTROLS)
    body, closed, after = answer.partition(END_CONTROLS)
    return bool(found and closed and body.strip()) and not between.strip() and not after.strip()


def exact_format_reward(text: str, spec: FormatReward) -> float:
    """The reward for the exact format, or 0."""
    return spec.exact if is_exact_format(text) else 0.0


def approximate_format_reward(text: str, spec: FormatReward) -> float:
    """The sum over the three format tags: each is rewarded if it occurs exactly once, else penalised."""
    text = text[:MAX_CHARS]
    return sum(
        found if text.count(tag) == 1 else spec.missing for tag, found in zip(FORMAT_TAGS, spec.found, strict=True)
    )
