"""Old names of modules and their members, kept for one minor version; each gives a DeprecationWarning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MovedModules", "keep_old_modules", "old_names"]

REMOVED_IN = "0.3"


class MovedModules(MetaPathFinder, Loader):
    """Finds modules by their old names.

    Args:
        places: old dotted name to new one.
        renamed: members with a new name, old to new.
    """

    def __init__(self, places: Mapping[str, str], renamed: Mapping[str, str]):
        self._places, self._renamed = places, renamed

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of a module with an old name; None for any other."""
        return ModuleSpec(fullname, self) if fullname in self._places else None

    def exec_module(self, module: ModuleType) -> None:
        """Warns, and looks up the old module's names in the new one."""
        new = self._places[module.__name__]
        _warn(module.__name__, new, stacklevel=2)  # frames of the import system are not counted
        vars(module)["__getattr__"] = lambda name: getattr(import_module(new), self._renamed.get(name, name))


def keep_old_modules(places: Mapping[str, str], renamed: Mapping[str, str]) -> None:
    """Keeps old module names importable; arguments as for `MovedModules`."""
    sys.meta_path.append(MovedModules(places, renamed))


def old_names(module: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` for names that it no longer has.

    Args:
        module: the module's ``__name__``.
        places: old name to full dotted new name.
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name}", places[name], stacklevel=2)
        home, _, new = places[name].rpartition(".")
        return getattr(import_module(home), new)

    return find


def _warn(old: str, new: str, stacklevel: int) -> None:
    message = f"{old} is now {new}; the old name will be removed in version {REMOVED_IN}"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)
