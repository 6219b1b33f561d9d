"""Writes rows as a Parquet file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from control_envs.utils.files import write_bytes

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["write_parquet"]


def write_parquet(rows: Dataset, path: Path) -> None:
    """Writes rows atomically, in memory first: Arrow ends the process where it cannot write to a full disk."""
    buffer = BytesIO()
    rows.to_parquet(buffer)
    write_bytes(path, buffer.getvalue())
