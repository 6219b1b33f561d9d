"""Helpers for command-line programs: the parser of flags, exit codes, one-line errors."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from control_envs.utils.optional import sufficient

__all__ = ["CommandError", "Parser", "at_least", "guarded", "join_negative"]


class CommandError(Exception):
    """The work failed half-way; the message is printed as one line."""


class Parser(argparse.ArgumentParser):
    """The parser of every command: a usage error is one line with exit code 2, and flags cannot be abbreviated.

    Args:
        arguments: of `argparse.ArgumentParser`; the description keeps its line breaks.
    """

    def __init__(self, **arguments: Any):
        own: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**own | arguments)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help lists the flags)\n")


def at_least(least: float, kind: type[int] | type[float] = int) -> Callable[[str], Any]:
    """The type of a flag whose value is a whole number, or with ``kind=float`` any finite number, not below a limit."""

    def read(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"must be {name} of at least {least:g}, not {text!r}")
        return value

    return read


def guarded(
    work: Callable[[], int | None], stopped: str = "stopped", quiet: bool = False, extra: str | None = None
) -> int:
    """Runs a command's work and returns its exit code.

    Every failure prints one line to stderr. The exit code is 2 for bad input or a file that cannot be read or written
    (ValueError, ImportError, OSError), 1 for a `CommandError`, and 130 for Ctrl-C.

    Args:
        work: returns an exit code, or None for 0.
        stopped: the line printed on Ctrl-C.
        quiet: print nothing.
        extra: of the package that brings all the command needs.
    """
    try:
        with sufficient(extra):
            return work() or 0
    except (ValueError, ImportError, OSError) as error:
        message, code = f"error: {_in_one_line(error)}", 2
    except CommandError as error:
        message, code = f"error: {_in_one_line(error)}", 1
    except KeyboardInterrupt:
        message, code = stopped, 130
    if not quiet:
        print(message, file=sys.stderr)
    return code


def _in_one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"  # without [Errno 2]
    return re.sub(r"\s*\n\s*", " ", str(error).strip())


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
