"""The documentation: its code runs and prints what it says, commands exist, links lead somewhere, the site builds."""

import contextlib
import functools
import importlib.util
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import browser  # noqa: F401

from control_envs import REWARDS, SYSTEMS, env_id

ROOT = Path(__file__).parents[2]
TOP = ("README", "ARCHITECTURE", "CONTRIBUTING")
PAGES = [*(ROOT / f"{name}.md" for name in TOP), *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = "# not run in CI: "  # the first line of a block that trains for long, needs a GPU or the outside
NOT_COMPARED = "for example"  # the title of output that another machine may print otherwise
COMMAND = re.compile(r"-m ((?:llm_agent|baselines|benchmarks)(?:\.\w+)*)([^\n`|#;&]*)")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)")


def blocks(page):
    return [match.groups() for match in BLOCK.finditer(page.read_text())]


def runs_code(page):
    return any(language in ("python", "bash") for language, _, _ in blocks(page))


@pytest.fixture
def _plants_as_they_were():
    """A page may register a plant of its own."""
    before = dict(SYSTEMS)
    yield
    SYSTEMS.clear()
    SYSTEMS.update(before)


@pytest.mark.usefixtures("_plants_as_they_were")
@pytest.mark.parametrize("page", [page for page in PAGES if runs_code(page)], ids=lambda p: p.name)
def test_code_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch):
    pytest.importorskip("trl")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in ("examples", "accelerate_configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    namespace, printed = {"__name__": page.stem}, None
    for language, info, code in blocks(page):
        if language == "text" and printed is not None:
            if NOT_COMPARED not in info:
                assert printed.split() == code.split()
            printed = None
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(code, page.name, "exec"), namespace)
            printed = out.getvalue()
        elif language == "bash" and code.startswith(NOT_RUN):
            assert subprocess.run(["bash", "-n"], input=code, text=True).returncode == 0
        elif language == "bash":
            done = subprocess.run(["bash", "-ec", code], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            printed = done.stdout


# -- commands ------------------------------------------------------------------------------------------------


def commands():
    """(page, module, its words) of every command of ours that a page names, in a block or in a line."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ").replace("\\|", "|")
        for module, rest in COMMAND.findall(text):
            with contextlib.suppress(ValueError):  # an apostrophe: prose begins
                yield page.name, module, tuple(shlex.split(rest))


@functools.cache
def help_of(module, *words):
    found, before = io.StringIO(), sys.argv
    sys.argv = [module, *words]
    try:
        with (
            contextlib.redirect_stdout(found),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            runpy.run_module(module, run_name="__main__")
    finally:
        sys.argv = before
    return found.getvalue()


def known_flags(module, words):
    texts = [help_of(module, "--help")]
    if module.startswith("llm_agent.train_") or "All other flags are train_grpo's" in texts[0]:
        texts.append(help_of(module if "train_" in module else "llm_agent.train_grpo", "--help-all"))
    if words and not words[0].startswith("-"):
        texts.append(help_of(module, words[0], "--help"))  # a command of several
    return set(re.findall(r"--\w[\w-]*", " ".join(texts)))


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_commands_and_their_flags_exist():
    pytest.importorskip("trl")
    seen = set(commands())
    assert len(seen) > 20
    for page, module, words in sorted(seen):
        assert importlib.util.find_spec(module), f"{page}: there is no module {module}"
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        if flags:
            unknown = flags - known_flags(module, words)
            assert not unknown, f"{page}: {module} has no {', '.join(unknown)}"


def test_the_history_of_the_rewards_is_on_the_environments_pages():
    history = runpy.run_path(str(ROOT / "docs" / "generate" / "rewards_of.py"))["history"]()
    assert all(f"- **{version}** " in history for version in REWARDS)


def test_the_picture_of_the_rooms_is_drawn_from_the_page():
    drawn = runpy.run_path(str(ROOT / "docs" / "generate" / "architecture.py"))
    assert drawn["PICTURE"].read_text() == drawn["drawing"](drawn["PAGE"].read_text())


def test_relative_links_lead_to_files():
    for page in PAGES:
        for link in LINK.findall(page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


# -- the notebook and the site -------------------------------------------------------------------------------


def texts_of(notebook):
    """What its code prints and shows, without pictures."""
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    shown = [o.get("text") or o["data"].get("text/markdown") or "" for o in outputs]
    return ["".join(text).strip() for text in shown]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebook_shows_what_it_computes(path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    stored = json.loads(path.read_text())
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120).execute()
    assert texts_of(notebook) == texts_of(stored)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site's folder."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_site_has_every_page(site):
    for name, system in SYSTEMS.items():
        page = (site / "environments" / name / "index.html").read_text()
        for part in (env_id(name), env_id(name, text=True), *REWARDS, *system.state_names, *system.params):
            assert part in page, f"{name}: {part}"
    for module in ("control_envs/envs", "baselines/optimum", "llm_agent/policy"):
        assert (site / "api" / module / "index.html").exists()
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in navigation, f"{page.name} is not in the nav of mkdocs.yml"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_site_asks_no_other_host_and_fits_a_phone(site, browser, scheme):  # noqa: F811
    here = f"file://{site}"
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    for path in (
        "index.html",
        "tutorial/index.html",
        "environments/van_der_pol/index.html",
        "rewards_story/index.html",
    ):
        page.goto(f"{here}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert [url for url in asked if not url.startswith((here, "data:", "blob:"))] == []
    context.close()
