"""What all commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable


class CommandError(Exception):
    """Something went wrong in the middle of the work, and is said in one line."""


def guarded(work: Callable[[], int | None], stopped: str = "stopped", quiet: bool = False) -> int:
    """Runs a command's work and returns its exit code.

    Bad input, and a file that cannot be read or written, gives one line and 2, a `CommandError` 1, Ctrl-C the line
    ``stopped`` and 130; ``quiet`` says none of these.
    """
    try:
        return work() or 0
    except (ValueError, ImportError, OSError) as error:
        said, code = f"error: {error}", 2
    except CommandError as error:
        said, code = f"error: {error}", 1
    except KeyboardInterrupt:
        said, code = stopped, 130
    if not quiet:
        print(said, file=sys.stderr)
    return code
