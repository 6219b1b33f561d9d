"""Atomic file writes, folder locks and JSON records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control_envs.utils.optional import need

__all__ = [
    "LOCK",
    "check_output_dir",
    "flush",
    "in_use",
    "locked",
    "read_record",
    "replacing",
    "write_json",
    "write_text",
]

LOCK = ".lock"


def check_output_dir(folder: str | Path) -> Path:
    """A command's ``--output-dir`` as a path, checked before any work is done; it may not exist yet.

    Raises:
        ValueError: the path, or a parent of it, exists and is not a folder.
    """
    folder = Path(folder)
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise ValueError(f"--output-dir {folder}: {existing} is not a folder, choose another path")
    return folder


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes text atomically."""
    with replacing(path) as part:
        part.write_text(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to: flushed to disk and renamed into place, or removed on failure."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flushes a file, or every file of a folder, to disk (fsync)."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder against other processes; the lock ends with the process, even if it is killed.

    Raises:
        ValueError: another process holds the lock.
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
    """Whether a process holds the lock of a folder."""
    try:
        with locked(folder):
            return False
    except ValueError:
        return True


def read_record(path: Path) -> dict[str, Any]:
    """Reads a JSON object that control-grpo wrote.

    Raises:
        ValueError: the file is damaged or holds anything else.
    """
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged or is not a control-grpo record ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a control-grpo record: expected a JSON object")
    return record
