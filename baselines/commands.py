"""What the commands of this package share."""

from __future__ import annotations

import sys
from collections.abc import Callable

from control_envs import SYSTEMS, System, get_system


def systems_named(name: str) -> list[System]:
    """The plants that ``--system`` names, with commas between, or all of them.

    Raises:
        ValueError: there is no such plant.
    """
    return list(SYSTEMS.values()) if name == "all" else [get_system(part) for part in name.split(",")]


def guarded(work: Callable[[], None], stopped: str) -> int:
    """Runs a command's work; bad input gives one line and exit code 2, Ctrl-C the line ``stopped`` and 130."""
    try:
        work()
    except (ValueError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    return 0
