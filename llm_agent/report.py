"""Writes the HTML report of a run or of several runs compared, or inserts a run's tables into a Markdown page.

python -m llm_agent.report                                       # writes runs/latest/report.html again
python -m llm_agent.report runs/A runs/B --output both.html      # one report that compares them
python -m llm_agent.report runs/A --into README.md --pictures    # between the marker lines of README.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.utils.commands import Parser, guarded
from control_envs.utils.files import check_input_file, check_output_file
from llm_agent.reporting.finish import COMPARISON, PAGE, page_of
from llm_agent.reporting.insert import copy_pictures, insert, summarise_run
from llm_agent.storage.run_folder import LATEST, RUNS, RunFolder


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.report", description=__doc__)
    parser.add_argument("runs", nargs="*", default=[RUNS / LATEST], metavar="RUN", help="run folders (runs/latest)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"({PAGE} of the run, or {COMPARISON} beside it)")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="a Markdown page with the two marker lines")
    parser.add_argument("--marker", default="main job", help="name in the marker lines (default 'main job')")
    parser.add_argument(
        "--pictures", action="store_true", help="copy the run's pictures to docs/pictures and link them"
    )
    parser.add_argument("--short", action="store_true", help="with --into: the short table alone")
    args = parser.parse_args(argv)
    for flag in ("pictures", "short"):
        if getattr(args, flag) and not args.into:
            parser.error(f"--{flag} needs --into PAGE")
    if args.into and (len(args.runs) > 1 or args.output):
        parser.error("--into takes one run and no --output")

    def work() -> None:
        if args.into:
            check_input_file(args.into, "--into")
        if args.output:
            check_output_file(args.output, "--output")
        runs = [RunFolder.open(run) for run in args.runs]
        if args.into:
            text = summarise_run(runs[0], args.short)
            pictures = copy_pictures(runs[0], args.into) if args.pictures else ""
            return insert(args.into, args.marker, text + "\n\n" + pictures)
        from llm_agent.reporting.page import write_page

        print(f"report: {write_page(runs, args.output or page_of(runs))}")

    return guarded(work, extra="llm")


if __name__ == "__main__":
    sys.exit(main())
