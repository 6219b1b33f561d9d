"""A real browser for the tests of pages: Chromium, headless, that can reach nothing but this machine's loopback."""

import os
import shutil

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
NO_BROWSER = "no browser"
CURE = "install Chromium or Chrome, or name its executable in CONTROL_GRPO_BROWSER"


def find_browser():
    """The executable of the system's Chromium, Chrome or Edge; None if there is none."""
    installed = [os.environ.get("CONTROL_GRPO_BROWSER"), *map(shutil.which, NAMES), *filter(os.path.exists, PLACES)]
    return next(filter(None, installed), None)


@pytest.fixture(scope="module")
def browser():
    """The system's browser, or the one that Playwright has downloaded; skipped where there is neither."""
    api = pytest.importorskip("playwright.sync_api")
    path = find_browser()
    with api.sync_playwright() as driver:
        try:
            found = driver.chromium.launch(executable_path=path, args=FLAGS)
        except api.Error as error:
            pytest.skip(f"{NO_BROWSER}: {str(error).splitlines()[0]}")
        yield found
        found.close()
