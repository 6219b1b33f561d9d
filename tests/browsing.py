"""A real browser for the tests of pages: Chromium, headless, that can reach nothing but this machine's loopback."""

import os
import shutil

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser():
    """Playwright's browser; skipped where there is none (CONTROL_GRPO_BROWSER may name its executable)."""
    api = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("CONTROL_GRPO_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    with api.sync_playwright() as driver:
        try:
            found = driver.chromium.launch(executable_path=path, args=FLAGS)
        except api.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield found
        found.close()
