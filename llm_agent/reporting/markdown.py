"""Markdown to HTML, for the subset that this project's reports use."""

from __future__ import annotations

import re

from control_envs.utils.optional import need


def to_html(text: str) -> str:
    """Paragraphs, headings and tables, everything escaped; headings begin at level three.

    Numbers are right-aligned, and a table scrolls inside its own box where it is wider than the page.
    """
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block.strip())


def _block(block: str) -> str:
    if block.startswith("|"):
        return _table([[c.strip() for c in line.strip().strip("|").split("|")] for line in block.splitlines()])
    marks, _, title = block.partition(" ")
    if set(marks) == {"#"}:
        return f"<h3>{_inline(title)}</h3>"
    return f"<p>{_inline(block)}</p>"


def _table(lines: list[list[str]]) -> str:
    head, _, *rows = lines
    top = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_inline(row[0])}</th>' + "".join(f"<td>{_inline(c)}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_inline(head[0])} table"><table><thead><tr>{top}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _inline(text: str) -> str:
    need("jinja2", "llm")
    from markupsafe import escape

    return re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
