"""Helpers for command-line programs: exit codes, one-line errors, negative arguments."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

__all__ = ["CommandError", "guarded", "join_negative"]


class CommandError(Exception):
    """The work failed half-way; the message is printed as one line."""


def guarded(work: Callable[[], int | None], stopped: str = "stopped", quiet: bool = False) -> int:
    """Runs a command's work and returns its exit code.

    Every failure prints one line to stderr. The exit code is 2 for bad input or a file that cannot be read or written
    (ValueError, ImportError, OSError), 1 for a `CommandError`, and 130 for Ctrl-C.

    Args:
        work: returns an exit code, or None for 0.
        stopped: the line printed on Ctrl-C.
        quiet: print nothing.
    """
    try:
        return work() or 0
    except (ValueError, ImportError, OSError) as error:
        message, code = f"error: {error}", 2
    except CommandError as error:
        message, code = f"error: {error}", 1
    except KeyboardInterrupt:
        message, code = stopped, 130
    if not quiet:
        print(message, file=sys.stderr)
    return code


def join_negative(flag: str, arguments: Sequence[str] | None = None) -> list[str]:
    """A command's arguments with ``--x0 -0.4,0.2`` joined into ``--x0=-0.4,0.2``.

    argparse takes a separate value that begins with a minus for a flag, unless it is a single number.

    Args:
        flag: the flag whose value may begin with a minus.
        arguments: the arguments; None for those of the process.
    """
    joined: list[str] = []
    for argument in sys.argv[1:] if arguments is None else arguments:
        if joined and joined[-1] == flag and re.match(r"-[\d.]", argument):
            joined[-1] = f"{flag}={argument}"
        else:
            joined.append(argument)
    return joined
