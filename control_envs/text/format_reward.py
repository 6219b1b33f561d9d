"""Format rewards: for the exact format, or tag by tag. Thoughts before the answer are no part of the format."""

from __future__ import annotations

from control_envs.rewards import FormatReward
from control_envs.text.format import CONTROLS, END_CONTROLS, END_REASONING, FORMAT_TAGS, MAX_CHARS
from control_envs.text.parser import answer_region, is_plain_list
from control_envs.text.spellings import plain_minus
from control_envs.text.thoughts import without_thoughts

__all__ = ["approximate_format_reward", "exact_format_reward", "is_exact_format"]


def is_exact_format(text: str) -> bool:
    """Whether each tag occurs once and in order, with only blanks beside them and a plain list of numbers inside.

    A fence, brackets, a trailing separator or numbers without commas are read by the parser, but are not exact. U+2212
    for minus is.
    """
    if len(text) > MAX_CHARS:
        return False
    text = _judged(text)
    if any(text.count(tag) != 1 for tag in FORMAT_TAGS):
        return False
    _, _, rest = text.partition(END_REASONING)
    between, _, answer = rest.partition(CONTROLS)
    body, _, after = answer.partition(END_CONTROLS)
    return not between.strip() and not after.strip() and is_plain_list(plain_minus(body))


def exact_format_reward(text: str, spec: FormatReward) -> float:
    """The reward for the exact format, or 0."""
    return spec.exact if is_exact_format(text) else 0.0


def approximate_format_reward(text: str, spec: FormatReward) -> float:
    """The sum over the three format tags: each is rewarded if it occurs exactly once, else penalised."""
    text = _judged(text[:MAX_CHARS])
    return sum(
        found if text.count(tag) == 1 else spec.missing for tag, found in zip(FORMAT_TAGS, spec.found, strict=True)
    )


def _judged(text: str) -> str:
    """What the format rewards look at: the text without thoughts.

    A text in which the strict reading finds a list is taken whole. So its published rewards stay what they were.
    """
    answer = without_thoughts(text)
    if answer == text:
        return text
    region, verdict = answer_region(text)
    return text if verdict == "ok" and is_plain_list(region) else answer
