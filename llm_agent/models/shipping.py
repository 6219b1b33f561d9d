"""Makes a model that comes with the package of a run's: half precision, with its provenance."""

from __future__ import annotations

import shutil
from pathlib import Path

from control_envs.utils.files import write_json
from llm_agent.models.loading import load_model
from llm_agent.models.shipped import PROVENANCE, SHIPPED, record_of
from llm_agent.storage.run_folder import RunFolder


def ship(run: RunFolder, name: str, root: Path = SHIPPED) -> Path:
    """Makes a shipped model of what a run has come to.

    The weights are stored in half precision; ``provenance.json`` holds the run's record (command, seed, versions,
    machine, commit, seconds), its evaluation and, where it began as a shipped model, that model's record as ``start``.

    Raises:
        ValueError: the run has no evaluated model, or the name is no plain one.
    """
    if not name.replace("-", "").isalnum():
        raise ValueError(f"a model's name is letters, digits and dashes, not {name!r}")
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
