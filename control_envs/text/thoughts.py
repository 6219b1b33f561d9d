"""The thoughts of reasoning models: what they write before the answer, and what no answer is read from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

__all__ = ["THOUGHT_TAGS", "without_thoughts"]

# The names of the tags that enclose a thought: <think>...</think> and so on, in lower case, as models write them.
THOUGHT_TAGS = ("think", "thinking", "thought", "reasoning_content")


def without_thoughts(text: str, tags: Sequence[str] = THOUGHT_TAGS) -> str:
    """The text that remains when thoughts are cut out, in linear time.

    * A thought ends at the first closing tag of its own name; other tags inside it are part of it.
    * A closing tag that no thought waits for ends a thought that the chat template began: everything before it goes.
    * A thought that is never closed lasts to the end of the text.

    Args:
        text: a completion.
        tags: names of the tags that enclose a thought.
    """
    kept: list[str] = []
    start, thought = 0, None
    for tag in _tag_pattern(tuple(tags)).finditer(text):
        closing, name = tag.groups()
        if thought is None:
            if closing:
                kept.clear()
            else:
                kept.append(text[start : tag.start()])
                thought = name
            start = tag.end()
        elif closing and name == thought:
            start, thought = tag.end(), None
    return "".join(kept) if thought else "".join(kept) + text[start:]


@lru_cache(maxsize=16)
def _tag_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(map(re.escape, tags)) or "(?!)"  # without tags, nothing matches
    return re.compile(rf"<(/?)({names})>")
