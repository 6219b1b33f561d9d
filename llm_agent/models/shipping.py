"""Turns a run's model into one that ships with the package: half precision, with its provenance."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from control_envs.utils.files import write_json
from llm_agent.models.loading import load_model
from llm_agent.models.shipped import PROVENANCE, SHIPPED, record_of
from llm_agent.storage.run_folder import RunFolder, is_run

__all__ = ["record_with_start", "ship"]


def ship(run: RunFolder, name: str, root: Path = SHIPPED) -> Path:
    """Writes a run's latest model as a shipped model and returns its folder; an existing one is replaced.

    The weights are stored in half precision. ``provenance.json`` holds the run's record (command, seed, versions,
    machine, commit, seconds), its evaluation and, if training started from a shipped model or from another run, that
    one's record as ``start``.

    Args:
        run: an evaluated run.
        name: the model's name: letters, digits and dashes.
        root: the folder of shipped models.

    Raises:
        ValueError: the run has no evaluated model, or the name has other characters.
    """
    if not name.replace("-", "").isalnum():
        raise ValueError(f"a model's name must be letters, digits and dashes, not {name!r}")
    evaluation = run.evaluation()
    model, tokenizer = load_model(run.path)
    folder = root / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    model.half().save_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
    write_json(folder / PROVENANCE, {**record_with_start(run), "evaluation": evaluation})
    return folder


def record_with_start(run: RunFolder) -> dict[str, Any]:
    """A run's record, with that of the model that training started from as ``start`` if one is known."""
    model = run.settings["model"]
    start = record_with_start(RunFolder.open(model)) if is_run(model) else record_of(model)
    return {**run.record, **({"start": start} if start else {})}
