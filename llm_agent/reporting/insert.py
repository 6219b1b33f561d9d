"""Inserts a run's tables and pictures into a Markdown page, between two marker lines."""

from __future__ import annotations

import shutil
from pathlib import Path

from control_envs.utils.files import write_text
from llm_agent.reporting.headline import short_table
from llm_agent.storage.run_folder import RunFolder


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


def summarise_run(run: RunFolder, short: bool = False) -> str:
    """A run's command, duration and evaluation as Markdown.

    Args:
        short: the headline's table alone in place of all tables.

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
    if short:
        return "\n\n".join([took, *(short_table(report) for report in run.evaluation().values())])
    return took + "\n\n" + (run.path / "evaluation.md").read_text().replace("## ", "### ")


def copy_pictures(run: RunFolder, page: Path) -> str:
    """Copies a run's pictures into docs/pictures; returns the Markdown that shows them on the page."""
    docs = page.parent if page.resolve().parent.name == "docs" else page.parent / "docs"
    folder = docs / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for picture in sorted(run.path.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
        link = (folder / picture.name).relative_to(page.parent).as_posix()
        shown.append(f"![{picture.stem.replace('_', ' ')}]({link})")
    return "\n\n".join(shown)
