"""Prompts and demonstrations as Parquet files, one a split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from control_envs.systems import get_systems
from control_envs.systems.initial_states import SPLITS
from control_envs.utils.files import replacing, write_json
from control_envs.utils.optional import need
from llm_agent.data.demonstrations import make_demonstrations, make_prompts

HELD_OUT = 500


def export(args: argparse.Namespace) -> Path:
    """Writes the files that the flags ask for; returns their folder.

    Raises:
        ValueError: the folder holds files already, or a flag is invalid.
    """
    need("datasets", "llm")
    folder: Path = args.output_dir
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose another --output-dir")
    systems = [system.name for system in get_systems(args.system)]
    for name, count in (("--count", args.count), ("--held-out", args.held_out)):
        if count < len(systems):
            raise ValueError(f"{name} must be at least one for each plant, not {count}")
    folder.mkdir(parents=True, exist_ok=True)
    cards: dict[str, Any] = {}
    for split in SPLITS:
        count = args.count if split == "train" else args.held_out
        if args.what == "prompts":
            rows, cards[split] = make_prompts(systems, count, split, args.seed), {"count": count, "seed": args.seed}
        else:
            rows, cards[split] = make_demonstrations(
                systems, count, args.kind, split, args.seed, reasoning=args.reasoning
            )
            rows = rows.remove_columns("taught")
        with replacing(folder / f"{split}.parquet") as part:
            rows.to_parquet(part)
    write_json(folder / "card.json", {"what": args.what, "systems": systems, **cards})
    return folder
