"""A run, or several compared, as one page; or a run's tables inside a Markdown page.

python -m llm_agent.report                                       # runs/latest/report.html, anew
python -m llm_agent.report runs/A runs/B --output both.html      # one page that compares them
python -m llm_agent.report runs/A --into README.md --pictures    # between the marker's two lines of README.md
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.commands import guarded
from baselines.files import write_text
from llm_agent.run_folder import LATEST, RUNS, RunFolder

PAGE, COMPARISON = "report.html", "comparison.html"


def page_of(runs: Sequence[RunFolder]) -> Path:
    """Where the page is written by default: into the run's folder, or beside the first of several."""
    return runs[0].path / PAGE if len(runs) == 1 else runs[0].path.parent / COMPARISON


def try_to_report(run: RunFolder) -> str:
    """Writes a run's page at its end, and says where it is; a page that fails costs its run nothing."""
    try:
        from llm_agent.report_page import write_page

        return f"report: {write_page([run], page_of([run]))}"
    except Exception as error:  # whatever it is, the run is done and kept
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"the report could not be made ({why}): try  python -m llm_agent.report {run.path}"


# -- into a page ---------------------------------------------------------------------------------------------


def insert(page: Path, marker: str, text: str) -> None:
    """Puts generated text between the lines ``<!-- begin: marker -->`` and ``<!-- end: marker -->`` of a page.

    Raises:
        ValueError: the page does not have each line once.
    """
    begin, end = f"<!-- begin: {marker} -->", f"<!-- end: {marker} -->"
    old = page.read_text()
    if old.count(begin) != 1 or old.count(end) != 1:
        raise ValueError(f"{page} needs one line {begin!r} and one line {end!r}")
    write_text(page, f"{old.partition(begin)[0]}{begin}\n\n{text.strip()}\n\n{end}{old.partition(end)[2]}")


def summarise_run(run: RunFolder) -> str:
    """A run's command, duration and evaluation as Markdown.

    Raises:
        ValueError: the run has not been evaluated yet.
    """
    if not (run.path / "evaluation.md").is_file():
        raise ValueError(f"{run.path} has not been evaluated yet")
    record = run.record
    seconds = {phase: done["seconds"] for phase, done in record["phases"].items()}
    machine = record["machine"]
    took = (
        f"`{record['command']}` took {sum(seconds.values()) / 60:.1f} minutes "
        f"on {machine['threads']} of {machine['cores']} cores "
        f"({', '.join(f'{phase} {s:.0f} s' for phase, s in seconds.items())})."
    )
    return took + "\n\n" + (run.path / "evaluation.md").read_text().replace("## ", "### ")


def copy_pictures(run: RunFolder, page: Path) -> str:
    """Copies a run's pictures to docs/pictures beside the page; returns the Markdown that shows them."""
    folder = page.parent / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for picture in sorted(run.path.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
        shown.append(f"![{picture.stem.replace('_', ' ')}](docs/pictures/{picture.name})")
    return "\n\n".join(shown)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", default=[RUNS / LATEST], metavar="RUN", help="run folders (runs/latest)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"({PAGE} of the run, or {COMPARISON} beside it)")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="a Markdown page with the marker's two lines")
    parser.add_argument("--marker", default="main job", help="the marker's name (default 'main job')")
    parser.add_argument("--pictures", action="store_true", help="copy the pictures to docs/pictures and show them")
    args = parser.parse_args(argv)
    if args.pictures and not args.into:
        parser.error("--pictures goes with --into PAGE")
    if args.into and (len(args.runs) > 1 or args.output):
        parser.error("--into takes one run, and no --output")

    def work() -> None:
        runs = [RunFolder.open(run) for run in args.runs]
        if args.into:
            text = summarise_run(runs[0])
            pictures = copy_pictures(runs[0], args.into) if args.pictures else ""
            return insert(args.into, args.marker, text + "\n\n" + pictures)
        from llm_agent.report_page import write_page

        print(f"report: {write_page(runs, args.output or page_of(runs))}")

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
