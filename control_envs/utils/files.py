"""Files that no reader ever meets half written, and folders that only one process works in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control_envs.utils.optional import need

LOCK = ".lock"


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes text, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: flushed to disk, then renamed into place; gone if the writing fails."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Waits until a file, or each file of a folder, is on the disk."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes sure that no other process works in a folder meanwhile; the lock goes with the process, however it ends.

    Raises:
        ValueError: another process does.
    """
    filelock = need("filelock", "baselines")
    lock = filelock.FileLock(folder / LOCK, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"another process is working in {folder}: wait for it, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()


def in_use(folder: Path) -> bool:
    """Whether a process works in a folder at this moment."""
    try:
        with locked(folder):
            return False
    except ValueError:
        return True


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object in a file that this project wrote.

    Raises:
        ValueError: the file holds anything else.
    """
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged or is no file of ours ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is no file of ours: it holds no JSON object")
    return record
