"""Exports prompts or demonstrations as Parquet files, one for each split."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_envs.systems import get_systems
from control_envs.systems.initial_states import SPLITS
from control_envs.utils.files import check_output_dir, write_json
from control_envs.utils.optional import need
from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
from llm_agent.data.parquet import write_parquet
from llm_agent.data.prompts import make_prompts

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["FORMATS", "HELD_OUT", "export", "verl_row"]

HELD_OUT = 500  # default rows of each held-out split
FORMATS = ("plain", "verl")  # of prompts: the columns prompt, system, x0; or what veRL reads


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
    if args.format != "plain" and args.what != "prompts":
        raise ValueError(f"--format {args.format} is a format of prompts: leave it out for {args.what}")
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
            if args.format == "verl":
                rows = _verl_rows(rows, split)
        else:
            config = DemonstrationConfig(kind=args.kind, reasoning=args.reasoning)
            rows, cards[split] = make_demonstrations(systems, count, config, split, args.seed)
            rows = rows.remove_columns("taught")
        write_parquet(folder / f"{split}.parquet", rows.to_parquet)
    write_json(folder / "card.json", {"what": args.what, "format": args.format, "systems": systems, **cards})
    return folder


def verl_row(row: dict[str, Any], split: str, index: int) -> dict[str, Any]:
    """A row of prompts as veRL reads it, to be scored by `llm_agent.integrations.verl.compute_score`.

    Args:
        row: the columns ``prompt, system, x0``.
        split: the split of the row.
        index: its number in the split.

    Returns:
        ``data_source, prompt, ability, reward_model, extra_info``. The prompt is a conversation;
        ``reward_model["ground_truth"]`` is the problem as JSON.
    """
    return {
        "data_source": f"control-grpo/{row['system']}",
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "ability": "control",
        "reward_model": {"style": "rule", "ground_truth": json.dumps({"system": row["system"], "x0": row["x0"]})},
        "extra_info": {"split": split, "index": index},
    }


def _verl_rows(rows: Dataset, split: str) -> Dataset:
    from datasets import Dataset

    return Dataset.from_list([verl_row(row, split, index) for index, row in enumerate(rows)])
