"""The models that come with the package, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["BASE", "PROVENANCE", "SHIPPED", "UNIVERSAL", "find", "record_of", "shipped"]

SHIPPED = Path(__file__).parent / "weights"
BASE = "tiny-base"
UNIVERSAL = "tiny-universal"  # trained on every plant
PROVENANCE = "provenance.json"


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(folder.parent.name for folder in SHIPPED.glob(f"*/{PROVENANCE}"))


def find(name: str | Path) -> Path | None:
    """The folder of a model that comes with the package, or None."""
    folder = SHIPPED / str(name)
    return folder if str(name) in shipped() else None


def record_of(name: str) -> dict[str, Any]:
    """The record of the run that trained a shipped model, without its evaluation; empty for any other model."""
    folder = find(name)
    record = json.loads((folder / PROVENANCE).read_text()) if folder else {}
    record.pop("evaluation", None)
    return record
