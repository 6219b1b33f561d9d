"""Writes Parquet files."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from control_envs.utils.files import write_bytes

__all__ = ["write_parquet"]


def write_parquet(path: Path, write: Callable[[BytesIO], Any]) -> None:
    """Writes a file atomically, in memory first: Arrow ends the process where it cannot write to a full disk.

    Args:
        path: the file.
        write: writes the content, such as ``Dataset.to_parquet``.
    """
    buffer = BytesIO()
    write(buffer)
    write_bytes(path, buffer.getvalue())
