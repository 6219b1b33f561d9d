"""The text interface: prompt, answer format, parser, and scores of completions."""

from control_envs.text.batch_parser import ParsedBatch, parse_completions
from control_envs.text.format import (
    CONTROLS,
    DECIMALS,
    END_CONTROLS,
    END_REASONING,
    FORMAT_TAGS,
    MAX_CHARS,
    REASONING,
    answer_pattern,
    format_completion,
    format_controls,
    format_instruction,
    format_prompt,
)
from control_envs.text.format_reward import approximate_format_reward, exact_format_reward, is_exact_format
from control_envs.text.parser import Parsed, Verdict, answer_region, parse_completion
from control_envs.text.scoring import TextScores, invalid_terms, score_completions
from control_envs.text.thoughts import THOUGHT_TAGS, without_thoughts

__all__ = [
    "CONTROLS",
    "DECIMALS",
    "END_CONTROLS",
    "END_REASONING",
    "FORMAT_TAGS",
    "MAX_CHARS",
    "REASONING",
    "THOUGHT_TAGS",
    "Parsed",
    "ParsedBatch",
    "TextScores",
    "Verdict",
    "answer_pattern",
    "answer_region",
    "approximate_format_reward",
    "exact_format_reward",
    "format_completion",
    "format_controls",
    "format_instruction",
    "format_prompt",
    "invalid_terms",
    "is_exact_format",
    "parse_completion",
    "parse_completions",
    "score_completions",
    "without_thoughts",
]
