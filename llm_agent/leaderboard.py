"""Writes the leaderboard of a folder of results as one self-contained HTML file.

python -m llm_agent.leaderboard benchmarks/results --output leaderboard.html
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.utils.commands import Parser, guarded
from control_envs.utils.files import check_output_file, write_text
from control_envs.utils.optional import need


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.leaderboard", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("benchmarks/results"), help="(%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("leaderboard.html"), metavar="FILE", help="(%(default)s)")
    args = parser.parse_args(argv)

    def work() -> None:
        need("pydantic", "endpoint")
        from llm_agent.benchmarking.page import gathered, to_html, to_markdown

        check_output_file(args.output, "--output")
        results = gathered(args.folder)
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.output, to_html(results))
        print(to_markdown(results))
        print(args.output, file=sys.stderr)

    return guarded(work, extra="endpoint")


if __name__ == "__main__":
    sys.exit(main())
