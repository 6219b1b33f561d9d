"""Matplotlib figures as SVG for a page: text stays text, and colours follow the page's light or dark theme."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from baselines.figures.comparison import new_figure
from control_envs.rendering.drawing import COLOURS
from control_envs.utils.optional import need

# Colours that figures are drawn in, and the page's CSS variables for them.
VARIABLES = {
    "#d9d9d9": "var(--grid)",
    "#cccccc": "var(--grid)",
    "#ffffff": "var(--paper)",
    **{colour.lower(): f"var(--line-{i})" for i, colour in enumerate(COLOURS)},
    "#000000": "var(--ink)",  # also the colour of the black line
}
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.6,
}


def svg(width: float, height: float, draw: Callable[[Any], None], label: str, fixed: bool = False) -> str:
    """A figure as an ``<svg>`` element.

    Args:
        width: in inches; the page scales it.
        height: in inches.
        draw: draws on the figure it is given.
        label: alternative text.
        fixed: margins that fit a plain curve, in half the time that it takes to fit them.
    """
    with need("matplotlib", "plots").rc_context({**_STYLE, "svg.hashsalt": label}):
        figure = new_figure(width, height)
        draw(figure)
        if fixed:
            figure.set_layout_engine("none")
            for axes in figure.axes:
                axes.set_position((0.21, 0.14, 0.76, 0.73))
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _themed(file.getvalue(), label)


def _themed(text: str, label: str) -> str:
    """The bare element in the page's colours and font, with ids that no other figure has."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda found: VARIABLES.get(found[0], found[0]), text)
    text = re.sub(r"font-family: [^;\"]+", "font-family: var(--font)", text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:figure|axes|patch|line2d|matplotlib\.axis|xtick|ytick|text|legend)[^"]*"', "", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) [\d.]+"', text)
    width = f"max-width: {4 / 3 * float(size[1]) * 1.25:.0f}px" if size else ""
    text = re.sub(
        r'<svg [^>]*viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" role="img" style="{width}">', text, count=1
    )
    return text.replace(">", f" aria-label={_quoted(label)}>", 1).strip()


def _quoted(label: str) -> str:
    need("jinja2", "llm")
    from markupsafe import escape

    return f'"{escape(label)}"'
