"""Training in several processes (`accelerate launch`): all of them train, the main process writes files and prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from control_envs.utils.commands import CommandError
from control_envs.utils.files import locked

__all__ = ["disconnect", "is_main", "locked_by_main", "on_main", "say"]

Result = TypeVar("Result")


def is_main() -> bool:
    """Whether this is the main process; known before the processes have connected to each other."""
    return os.environ.get("RANK", "0") == "0"


def on_main(work: Callable[[], Result]) -> Result:
    """Calls ``work`` in the main process; all processes wait, and get its return value or its error."""
    if PartialState().num_processes == 1:
        return work()
    outcome: list = [None, None]
    if is_main():
        try:
            outcome[0] = work()
        except (ValueError, ImportError, OSError, CommandError) as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def say(text: str) -> None:
    """Prints a line in the main process."""
    if is_main():
        print(text, flush=True)


def disconnect() -> None:
    """Ends the connection between the processes; a process that exits while it is open can abort."""
    if PartialState().num_processes > 1:
        PartialState().destroy_process_group()


@contextmanager
def locked_by_main(folder: Path) -> Iterator[None]:
    """Locks a folder; the main process holds the lock for all."""
    if not is_main():
        yield
        return
    with locked(folder):
        yield
