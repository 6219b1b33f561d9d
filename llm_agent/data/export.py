"""Exports prompts or demonstrations as Parquet files, one for each split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from control_envs.systems import get_systems
from control_envs.systems.initial_states import SPLITS
from control_envs.utils.files import check_output_dir, write_json
from control_envs.utils.optional import need
from llm_agent.data.demonstrations import make_demonstrations
from llm_agent.data.parquet import write_parquet
from llm_agent.data.prompts import make_prompts

__all__ = ["HELD_OUT", "export"]

HELD_OUT = 500  # default rows of each held-out split


def export(args: argparse.Namespace) -> Path:
    """Writes one Parquet file for each split and ``card.json``; returns their folder.

    Args:
        args: the flags of `llm_agent.export`.

    Raises:
        ValueError: the folder is not empty, or a flag is invalid.
    """
    need("datasets", "llm")
    folder = check_output_dir(args.output_dir)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose another --output-dir")
    systems = [system.name for system in get_systems(args.system, args.set)]
    for name, count in (("--count", args.count), ("--held-out", args.held_out)):
        if count < len(systems):
            raise ValueError(f"{name} must be at least {len(systems)}, one for each plant, not {count}")
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
        write_parquet(folder / f"{split}.parquet", rows.to_parquet)
    write_json(folder / "card.json", {"what": args.what, "systems": systems, **cards})
    return folder
