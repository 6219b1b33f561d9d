"""Turns a run's model into one that ships with the package: half precision, with its provenance."""

from __future__ import annotations

import shutil
from pathlib import Path

from control_envs.utils.files import write_json
from llm_agent.models.loading import load_model
from llm_agent.models.shipped import PROVENANCE, SHIPPED, record_of
from llm_agent.storage.run_folder import RunFolder

__all__ = ["ship"]


def ship(run: RunFolder, name: str, root: Path = SHIPPED) -> Path:
    """Writes a run's latest model as a shipped model and returns its folder; an existing one is replaced.

    The weights are stored in half precision. ``provenance.json`` holds the run's record (command, seed, versions,
    machine, commit, seconds), its evaluation and, if training started from a shipped model, that model's record as
    ``start``.

    Args:
        run: an evaluated run.
        name: the model's name: letters, digits and dashes.
        root: the folder of shipped models.

    Raises:
        ValueError: the run has no evaluated model, or the name has other characters.
    """
    if not name.replace("-", "").isalnum():
        raise ValueError(f"a model's name must be letters, digits and dashes, not {name!r}")
    evaluation, start = run.evaluation(), record_of(run.settings["model"])
    model, tokenizer = load_model(run.path)
    folder = root / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    model.half().save_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
    lineage = {"start": start} if start else {}
    write_json(folder / PROVENANCE, {**run.record, **lineage, "evaluation": evaluation})
    return folder
