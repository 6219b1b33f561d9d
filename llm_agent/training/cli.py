"""Entry point of the training commands. Reports missing packages before anything heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from control_envs.utils.optional import need
from llm_agent.storage.run_folder import RunFolder
from llm_agent.training.flags import own_help


def train(
    kind: str, description: str, finish: Callable[[RunFolder, bool], None], argv: Sequence[str] | None = None
) -> int:
    """Runs ``train_sft`` or ``train_grpo`` and returns the exit code.

    Args:
        finish: what to do with a finished run; told whether its page is wanted.
        argv: the command's flags; by default the command line's.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    words = ["--help" if word == "--help-all" else word for word in given]
    if words == given and {"-h", "--help"} & set(given):
        print(own_help(kind, description))
        return 0
    try:
        for module in ("scipy", "matplotlib", "tqdm", "torch", "trl"):
            need(module, "llm")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from llm_agent.training.pipeline import command

    return command(kind, words, finish)
