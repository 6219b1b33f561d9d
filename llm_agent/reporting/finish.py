"""The end of a run: its pictures, its page, a headline and a short table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from llm_agent.reporting.headline import headline, short_table
from llm_agent.storage.run_folder import RunFolder

PAGE, COMPARISON = "report.html", "comparison.html"
WIDTH = 100  # columns of a terminal


def finish_run(run: RunFolder, page: bool = True) -> None:
    """Draws a finished run's pictures, writes its page if ``page`` is set, and prints a headline and a short table."""
    illustrate(run)
    reported = try_to_report(run) if page else "report: left out (--skip-report)"
    for name, report in run.evaluation().items():
        states = report["states"]["count"]
        print(f"\n{name}, {states} held-out initial states\n")
        print("\n".join(textwrap.fill(sentence, WIDTH) for sentence in headline(report)))
        print(f"\n{short_table(report)}")
    print(f"\n{reported}\nall tables: {run.path / 'evaluation.md'}\n{_took(run)}")


def _took(run: RunFolder) -> str:
    seconds = {name: phase["seconds"] for name, phase in run.record["phases"].items()}
    each = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items())
    return f"took {sum(seconds.values()) / 60:.1f} minutes ({each})"


def illustrate(run: RunFolder) -> None:
    """Draws a run's pictures into its folder."""
    from llm_agent.reporting.pictures import draw_run

    draw_run(run)


def page_of(runs: Sequence[RunFolder]) -> Path:
    """The page's default path: in the run's folder, or beside the first of several runs."""
    return runs[0].path / PAGE if len(runs) == 1 else runs[0].path.parent / COMPARISON


def try_to_report(run: RunFolder) -> str:
    """Writes a run's page and returns a line that says where; if that fails, a line that says why."""
    try:
        from llm_agent.reporting.page import write_page

        return f"report: {write_page([run], page_of([run]))}"
    except Exception as error:  # whatever went wrong with the page, the run itself is complete
        why = " ".join(f"{type(error).__name__}: {error}".split())
        return f"the report could not be made ({why}): try  python -m llm_agent.report {run.path}"
