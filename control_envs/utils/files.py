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
    "check_input_file",
    "check_output_dir",
    "check_output_file",
    "flush",
    "in_use",
    "locked",
    "read_record",
    "replacing",
    "write_bytes",
    "write_json",
    "write_text",
]

LOCK = ".lock"


def check_output_dir(folder: str | Path, flag: str = "--output-dir") -> Path:
    """A folder that a command writes to, as a path, checked before any work is done; it may not exist yet.

    Args:
        folder: as given.
        flag: the flag that names it.

    Raises:
        ValueError: the path, or a parent of it, exists and is not a folder, or is one that cannot be written to.
    """
    folder = Path(folder)
    _check_folder(folder, f"{flag} {folder}")
    return folder


def check_output_file(file: str | Path, flag: str) -> Path:
    """A file that a command writes, as a path; arguments and errors as for `check_output_dir`, and not a folder."""
    file = Path(file)
    if file.is_dir():
        raise ValueError(f"{flag} {file} is a folder: give a file")
    _check_folder(file.parent, f"{flag} {file}")
    return file


def _check_folder(folder: Path, given: str) -> None:
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise ValueError(f"{given}: {existing} is not a folder, choose another path")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"{given}: {existing} cannot be written to, choose another path")


def check_input_file(file: str | Path, flag: str) -> Path:
    """A file that a command reads, as a path.

    Raises:
        ValueError: there is no such file.
    """
    file = Path(file)
    if not file.is_file():
        raise ValueError(f"{flag} {file}: {'this is a folder' if file.is_dir() else 'there is no such file'}")
    return file


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes text atomically."""
    with replacing(path) as part:
        part.write_text(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes atomically."""
    with replacing(path) as part:
        part.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to: flushed to disk and renamed into place, or removed on failure."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield part
        flush(part)
        part.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # on a full disk, say, which is not said of what file
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
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
