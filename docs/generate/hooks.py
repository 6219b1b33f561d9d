"""MkDocs hooks: they generate pages from the code, and rewrite links so that they work in the repository and the site.

README.md, ARCHITECTURE.md, CHANGELOG.md and CONTRIBUTING.md become pages. A link to any other file of the repository
(`../examples/random_policy.py`) leads to a page with the text of that file.
"""

import posixpath
import re
from pathlib import Path

import environments
import notebook
import reference
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
FROM_ROOT = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
NOTEBOOKS = ("rewards_story",)
EXAMPLES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "examples").glob("*.py"))]
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s#]+)(?=[)#])")


def on_config(config):
    """Adds the generated pages to the navigation, where mkdocs.yml names their folder."""
    generated = {
        "environments/": environments.navigation(),
        "api/": reference.navigation(),
        "examples/": [{Path(path).stem.replace("_", " ").capitalize(): _source_page(path)} for path in EXAMPLES],
    }
    config.nav = [
        {title: generated.get(part, part) if isinstance(part, str) else part}
        for entry in config.nav
        for title, part in entry.items()
    ]
    return config


def on_files(files, config):
    """Adds the generated pages."""

    def add(uri: str, content: str | bytes) -> None:
        files.append(File.generated(config, uri, content=content))

    for source, uri in FROM_ROOT.items():
        add(uri, "---\nhide: [navigation]\n---\n\n" + (ROOT / source).read_text())
    for name in NOTEBOOKS:
        for uri, content in notebook.pages(ROOT / "docs" / f"{name}.ipynb"):
            add(uri, content)
    for uri, content in [*environments.pages(), *reference.pages()]:
        add(uri, content)
    texts = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    for path in sorted({path for uri, text in texts for path in _sources(uri, text)} | set(EXAMPLES)):
        add(_source_page(path), _source_text(path))
    return files


def on_page_markdown(markdown, page, config, files):
    """Rewrites links between files of the repository as links between pages."""
    uri = page.file.src_uri
    return LINK.sub(lambda link: posixpath.relpath(_target(uri, link[1]), posixpath.dirname(uri) or "."), markdown)


def _sources(uri: str, text: str) -> list[str]:
    """The files outside docs/ that a page links to, as paths from the repository's root."""
    paths = [_in_repository(uri, link) for link in LINK.findall(text)]
    return [
        path for path in paths if not path.startswith("docs/") and path not in FROM_ROOT and (ROOT / path).is_file()
    ]


def _in_repository(uri: str, link: str) -> str:
    """The target of a page's link, as a path from the repository's root."""
    folder = "" if uri in FROM_ROOT.values() else posixpath.join("docs", posixpath.dirname(uri))
    return posixpath.normpath(posixpath.join(folder, link))


def _target(uri: str, link: str) -> str:
    """The target of a page's link, as a path from the site's root."""
    path = _in_repository(uri, link)
    if path in FROM_ROOT:
        return FROM_ROOT[path]
    if not path.startswith("docs/") and (ROOT / path).is_file():
        return _source_page(path)
    path = path.removeprefix("docs/")
    return f"{path.removesuffix('.ipynb')}.md" if path.removesuffix(".ipynb") in NOTEBOOKS else path


def _source_page(path: str) -> str:
    return f"source/{path}.md"


def _source_text(path: str) -> str:
    language = {"py": "python", "sh": "bash", "yml": "yaml"}.get(path.rpartition(".")[2], path.rpartition(".")[2])
    return f"---\nhide: [toc]\n---\n\n# {path}\n\n`````{language}\n{(ROOT / path).read_text().rstrip()}\n`````\n"
