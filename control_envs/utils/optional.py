"""Optional dependencies, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["need"]


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
        message = f"{package} is not installed: run  pip install 'control-grpo[{extra}]'"
        raise ImportError(message, name=package) from None
    return import_module(module)
