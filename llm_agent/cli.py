"""The way into the training commands: says what is missing before anything heavy is imported."""

from __future__ import annotations

import sys

from control_envs._extras import need


def train(kind: str) -> int:
    """Runs ``train_sft`` or ``train_grpo`` on the command line's flags; returns the exit code."""
    try:
        for module in ("scipy", "matplotlib", "tqdm", "torch", "trl"):
            need(module, "llm")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from llm_agent.pipeline import command

    return command(kind)
