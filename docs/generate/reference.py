"""Generates the API pages: one per public module, from its docstrings, with mkdocstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("control_envs", "baselines", "llm_agent")


def modules(package: str) -> list[str]:
    """The dotted names of a package's public modules."""
    paths = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if name != package and not any(part.startswith("_") for part in name.split("."))]


def navigation() -> list:
    """The entries of the navigation."""
    return [
        {package: [_uri(package), *({name.partition(".")[2]: _uri(name)} for name in modules(package))]}
        for package in PACKAGES
    ]


def pages() -> Iterator[tuple[str, str]]:
    """The path in the site and the Markdown of each page."""
    for package in PACKAGES:
        rows = [
            f"| [{name}]({_uri(name).removeprefix(f'api/{package}/')}) | {summary(name)} |" for name in modules(package)
        ]
        table = "\n".join(["| module | about |", "|---|---|", *rows])
        yield _uri(package), f"::: {package}\n    options: {{members: false}}\n\n{table}\n"
        for name in modules(package):
            yield _uri(name), f"::: {name}\n"


def summary(name: str) -> str:
    """The first paragraph of a module's docstring, on one line."""
    path = ROOT / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", r"\|")


def _uri(name: str) -> str:
    package, _, module = name.partition(".")
    return f"api/{package}/{module or 'index'}.md"
