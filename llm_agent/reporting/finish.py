"""The end of a run: its pictures, its page, and what it comes to, printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llm_agent.evaluation.markdown import to_markdown
from llm_agent.storage.run_folder import RunFolder

PAGE, COMPARISON = "report.html", "comparison.html"


def finish_run(run: RunFolder, page: bool = True) -> None:
    """Draws a finished run's pictures, writes its page if asked to, and prints its evaluation."""
    print(illustrate(run))
    if page:
        print(try_to_report(run))
    for report in run.evaluation().values():
        print(f"\n{to_markdown(report)}")
    seconds = {name: phase["seconds"] for name, phase in run.record["phases"].items()}
    print(f"seconds by phase: {seconds}; in all {sum(seconds.values()):.0f}")


def illustrate(run: RunFolder) -> str:
    """Draws a run's pictures into its folder, and says where they are."""
    from llm_agent.reporting.pictures import draw_run

    draw_run(run)
    return "\n".join(f"picture: {path}" for path in sorted(run.path.glob("*.png")))


def page_of(runs: Sequence[RunFolder]) -> Path:
    """Where the page is written by default: into the run's folder, or beside the first of several."""
    return runs[0].path / PAGE if len(runs) == 1 else runs[0].path.parent / COMPARISON


def try_to_report(run: RunFolder) -> str:
    """Writes a run's page at its end, and says where it is; a page that fails costs its run nothing."""
    try:
        from llm_agent.reporting.page import write_page

        return f"report: {write_page([run], page_of([run]))}"
    except Exception as error:  # whatever it is, the run is done and kept
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"the report could not be made ({why}): try  python -m llm_agent.report {run.path}"
