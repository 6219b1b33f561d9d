"""Exports prompts and demonstrations as Parquet files, for any trainer that reads Hugging Face datasets.

    python -m llm_agent.export prompts --system double_integrator --count 4000 --output-dir data/prompts
    python -m llm_agent.export demonstrations --system all --count 20000 --output-dir data/demonstrations

The folder gets train.parquet, validation.parquet and test.parquet, with disjoint initial states. A row of prompts has
the columns that the reward functions need (prompt, system, x0), so that TRL's own command can train on it:

    trl grpo --model_name_or_path MODEL --dataset_name data/prompts --output_dir out --remove_unused_columns false \\
        --reward_funcs llm_agent.trl_rewards.control llm_agent.trl_rewards.format_exact

``--format verl`` writes prompts as veRL reads them; `llm_agent.integrations.verl.compute_score` scores its rows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.systems.settings import add_settings_flag
from control_envs.utils.commands import Parser, at_least, guarded
from llm_agent.data.demonstrations import KINDS
from llm_agent.data.export import FORMATS, HELD_OUT, export
from llm_agent.data.reasoning import REASONINGS


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.export", description=__doc__)
    parser.add_argument("what", choices=("prompts", "demonstrations"))
    parser.add_argument("--system", default="double_integrator", help="plants, comma-separated, or all")
    add_settings_flag(parser)
    parser.add_argument("--count", type=int, default=4000, help="rows of train.parquet (%(default)s)")
    parser.add_argument(
        "--held-out", type=int, default=HELD_OUT, help="rows of validation.parquet and of test.parquet (%(default)s)"
    )
    parser.add_argument("--format", choices=FORMATS, default="plain", help="of prompts (%(default)s)")
    parser.add_argument("--kind", choices=KINDS, default="varied", help="of demonstrations (%(default)s)")
    parser.add_argument("--reasoning", choices=REASONINGS, default="brief", help="of demonstrations (%(default)s)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="(%(default)s)")
    parser.add_argument("--output-dir", type=Path, required=True, metavar="DIR")
    args = parser.parse_args(argv)
    return guarded(lambda: print(export(args)), extra="llm")


if __name__ == "__main__":
    sys.exit(main())
