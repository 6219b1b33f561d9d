"""Several processes that train together (`accelerate launch`): one of them makes files, all of them train."""

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

Result = TypeVar("Result")


def is_main() -> bool:
    """Whether this process is the one that writes and speaks; known before any of them has joined the others."""
    return os.environ.get("RANK", "0") == "0"


def on_main(work: Callable[[], Result]) -> Result:
    """Does something in the main process alone; all processes wait for it and get what it returned, or raised."""
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
    """Prints, in the main process."""
    if is_main():
        print(text, flush=True)


@contextmanager
def locked_by_main(folder: Path) -> Iterator[None]:
    """The lock of a folder, held by the main process for all."""
    if not is_main():
        yield
        return
    with locked(folder):
        yield
