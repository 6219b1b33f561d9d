"""Draws docs/pictures/architecture.svg from the tables of ARCHITECTURE.md: python docs/generate/architecture.py."""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / "ARCHITECTURE.md", ROOT / "docs" / "pictures" / "architecture.svg"
ROW = re.compile(r"^\| (\d) \| `(\w+)/` \|", re.MULTILINE)
PACKAGE = re.compile(r"^### (\w+): (.*)$", re.MULTILINE)
COLOURS = {"control_envs": "#0a7d6f", "baselines": "#b4540a", "llm_agent": "#3f51b5"}
WIDTH, HEIGHT, GAP, TOP = 108, 30, 10, 64  # of a box, between boxes, above the first
LEVELS = 6


def rooms(text: str) -> dict[str, dict[int, list[str]]]:
    """Package to level to rooms, as the page's tables have them."""
    found: dict[str, dict[int, list[str]]] = {}
    parts = PACKAGE.split(text)[1:]
    for package, _, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        levels = found[package] = defaultdict(list)
        for level, room in ROW.findall(body.partition("\n## ")[0]):
            levels[int(level)].append(room)
    return found


def drawing(text: str) -> str:
    """The page's rooms as SVG: a column for each package, the lowest level at the bottom."""
    parts, x = [], GAP
    for package, levels in rooms(text).items():
        columns = max(map(len, levels.values()))
        width = columns * (WIDTH + GAP) + GAP
        colour = COLOURS[package]
        parts.append(
            f'<rect x="{x}" y="{GAP}" width="{width}" height="{_y(-1) - GAP}" rx="8" fill="{colour}" '
            f'fill-opacity="0.08" stroke="{colour}"/>'
            f'<text x="{x + width / 2}" y="{GAP + 24}" font-size="15" font-weight="bold">{package}</text>'
        )
        if package != "control_envs":
            parts.append(_box(x + GAP, _y(LEVELS + 1), width - 2 * GAP, "commands", colour, dashed=True))
            parts.append(_arrow(x - GAP * 1.6, x - 3))
        for level, names in levels.items():
            for i, name in enumerate(names):
                parts.append(_box(x + GAP + i * (WIDTH + GAP), _y(level), WIDTH, f"{name}/", colour))
        x += width + 2 * GAP
    size = f"{x - GAP} {_y(-1) + GAP}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="13" '
        f'text-anchor="middle" role="img" aria-label="The rooms of the three packages by level">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _y(level: int) -> int:
    """The top of a level's boxes; higher levels are further up."""
    return TOP + (LEVELS + 1 - level) * (HEIGHT + GAP)


def _box(x: float, y: float, width: float, text: str, colour: str, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="5" fill="white" stroke="{colour}"{dashes}/>'
        f'<text x="{x + width / 2}" y="{y + HEIGHT / 2 + 4.5}">{escape(text)}</text>'
    )


def _arrow(start: float, end: float) -> str:
    """Points from a package to the one on its left, which it imports."""
    y = GAP + 20
    return (
        f'<path d="M{end} {y}H{start}m6 -5l-6 5l6 5" fill="none" stroke="#444" stroke-width="1.8" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(drawing(PAGE.read_text()))
