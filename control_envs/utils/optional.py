"""Optional dependencies, imported where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import ModuleType

__all__ = ["HOLDS", "how_to_install", "need", "sufficient"]

# The extras that each extra brings, as in pyproject.toml.
HOLDS = {
    "endpoint": {"baselines", "plots"},
    "llm": {"baselines", "plots"},
    "play": {"baselines", "plots", "llm"},
    "ppo": {"baselines"},
    "tune": {"baselines"},
}
_CHECKOUT = Path(__file__).parents[2]
_sufficient: ContextVar[str | None] = ContextVar("sufficient", default=None)


@contextmanager
def sufficient(extra: str | None) -> Iterator[None]:
    """While a command works: the extra that brings all it needs, so that messages name it and no part of it."""
    token = _sufficient.set(extra)
    try:
        yield
    finally:
        _sufficient.reset(token)


def need(module: str, extra: str) -> ModuleType:
    """Imports an optional module.

    Raises:
        ImportError: its package is not installed; the message names the extra to install.
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        message = f"{package} is not installed: run  {how_to_install(extra)}"
        raise ImportError(message, name=package) from None
    return import_module(module)


def how_to_install(extra: str) -> str:
    """The pip command that installs an extra, or the one that suffices for the running command."""
    enough = _sufficient.get()
    if enough and extra in HOLDS.get(enough, ()):
        extra = enough
    # In a checkout, the package itself is installed from there; it need not be on an index.
    is_checkout = (_CHECKOUT / "pyproject.toml").is_file()
    return f"pip install -e '{_CHECKOUT}[{extra}]'" if is_checkout else f"pip install 'control-grpo[{extra}]'"
