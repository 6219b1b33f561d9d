"""Optional dependencies, asked for where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def need(module: str, extra: str) -> ModuleType:
    """Imports an optional module.

    Raises:
        ImportError: its package is not installed; the message is one line that names the cure.
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        cure = f"{package} is not installed: run  pip install 'control-grpo[{extra}]'"
        raise ImportError(cure, name=package) from None
    return import_module(module)
