"""Estimates the memory and time that a GRPO training needs, before it is started.

    python -m llm_agent.estimate --config small-gpu --device rtx4090
    python -m llm_agent.estimate --config qwen3-4b --device h100
    python -m llm_agent.estimate --config smollm2 --device cpu
    python -m llm_agent.estimate --model path/to/model --num_generations 32
    python -m llm_agent.estimate --config ... --lora-r 0 --accelerate-config accelerate_configs/zero3.yaml

Takes the flags of train_grpo. The model's size follows from its configuration, without weights, and tokens are counted
with its tokenizer. For the presets' models neither has to be downloaded: their sizes are built in, and tokens are
guessed. The rest is arithmetic, accurate to about a factor of two, which is enough to choose a machine. The assumptions
are printed below the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from control_envs.utils.commands import Parser, at_least, guarded
from control_envs.utils.files import check_input_file
from llm_agent.training.devices import CPU, DEVICES
from llm_agent.training.estimate import Layout, estimated, read_layout


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(
        prog="python -m llm_agent.estimate",
        description=__doc__,
        epilog="All other flags are train_grpo's.",
    )
    parser.add_argument("--device", choices=[*DEVICES, CPU], default="rtx4090", help="cpu: this machine (%(default)s)")
    parser.add_argument("--processes", type=at_least(1), default=None, help="processes, one device each (1)")
    parser.add_argument(
        "--accelerate-config", type=Path, metavar="FILE", help="accelerate's configuration, for processes and sharding"
    )
    about = "replaces the model's configuration, e.g. qwen3:hidden_size=1024,tie_word_embeddings=1,..."
    parser.add_argument("--shape", metavar="TYPE:NAME=VALUE,...", help=about)
    args, flags = parser.parse_known_args(argv)

    def work() -> None:
        layout = Layout()
        if args.accelerate_config:
            layout = read_layout(check_input_file(args.accelerate_config, "--accelerate-config"))
        layout = replace(layout, processes=layout.processes if args.processes is None else args.processes)
        print(estimated(flags, args.device, layout, args.shape))

    return guarded(work, extra="llm")


if __name__ == "__main__":
    sys.exit(main())
