"""The models that come with the package: `LLMPolicy.from_pretrained("tiny-double-integrator")`.

python -m llm_agent.checkpoints                        # what there is
python -m llm_agent.checkpoints --ship RUN tiny-base   # makes one of a run: half precision, with its provenance
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.files import write_json
from llm_agent.run_folder import RunFolder

SHIPPED = Path(__file__).parent / "shipped"
BASE = "tiny-base"
PROVENANCE = "provenance.json"


def shipped() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(folder.parent.name for folder in SHIPPED.glob(f"*/{PROVENANCE}"))


def find(name: str | Path) -> Path | None:
    """The folder of a model that comes with the package, or None."""
    folder = SHIPPED / str(name)
    return folder if str(name) in shipped() else None


def ship(run: RunFolder, name: str, root: Path = SHIPPED) -> Path:
    """Makes a shipped model of what a run has come to.

    The weights are stored in half precision; ``provenance.json`` holds the run's record (command, seed, versions,
    machine, commit, seconds), its evaluation and, where it began as a shipped model, that model's record as ``start``.

    Raises:
        ValueError: the run has no evaluated model, or the name is no plain one.
    """
    from llm_agent.models import load_model

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


def record_of(name: str) -> dict[str, Any]:
    """The record of the run that made a shipped model, without its evaluation; empty for any other model."""
    folder = find(name)
    record = json.loads((folder / PROVENANCE).read_text()) if folder else {}
    record.pop("evaluation", None)
    return record


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ship", nargs=2, metavar=("RUN", "NAME"), help="make the model NAME of a run")
    args = parser.parse_args(argv)
    try:
        if args.ship:
            print(ship(RunFolder.open(args.ship[0]), args.ship[1]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in shipped():
        record = json.loads((SHIPPED / name / PROVENANCE).read_text())
        megabytes = sum(f.stat().st_size for f in (SHIPPED / name).iterdir()) / 1e6
        print(f"{name:28} {megabytes:.1f} MB  {record['command']}  ({record['commit']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
