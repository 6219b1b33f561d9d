import os
import sys
import warnings

import pytest

# Tests train tiny models: nothing may be asked of a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # two test files at a time have a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from browsing import CURE, NO_BROWSER

from control_envs import SYSTEMS


@pytest.fixture(params=list(SYSTEMS))
def system(request):
    """Every registered plant: a new one is tested by existing."""
    return SYSTEMS[request.param]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    os.environ["CONTROL_GRPO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _own_warnings_are_our_own(monkeypatch):
    """Our warnings count as ours whatever their stacklevel, so that pyproject.toml's filter makes errors of them all.

    The filter goes by the module that a warning names, which with a stacklevel of 2 is that of the caller.
    """
    warn = warnings.warn

    def attributed(message, category=None, stacklevel=1, *args, **kwargs):
        room = sys._getframe(1).f_globals.get("__name__", "").partition(".")[0]
        stacklevel = 1 if room in ("control_envs", "baselines", "llm_agent") else stacklevel
        warn(message, category, stacklevel + 1, *args, **kwargs)

    monkeypatch.setattr(warnings, "warn", attributed)


def pytest_terminal_summary(terminalreporter):
    """One line says which tests need a browser that is not there."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests of pages were skipped, since there is no browser: {CURE}")
