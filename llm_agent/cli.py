"""The way into the training commands: says what is missing before anything heavy is imported."""

from __future__ import annotations

import sys

from control_envs._extras import need
from llm_agent.flags import own_help


def train(kind: str, description: str) -> int:
    """Runs ``train_sft`` or ``train_grpo`` on the command line's flags; returns the exit code."""
    argv = ["--help" if word == "--help-all" else word for word in sys.argv[1:]]
    if argv == sys.argv[1:] and {"-h", "--help"} & set(argv):
        print(own_help(kind, description))
        return 0
    try:
        for module in ("scipy", "matplotlib", "tqdm", "torch", "trl"):
            need(module, "llm")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from llm_agent.pipeline import command

    return command(kind, argv)
