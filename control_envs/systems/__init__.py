"""The plants. To add one, add a module: every `System` at the top level of a module here is registered."""

from __future__ import annotations

import difflib
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from control_envs.systems.base import DIVERGED, TERMINAL_WEIGHT, System
from control_envs.systems.checks import nearest_names

ALL = "all"  # the value of --system for every plant

SYSTEMS: dict[str, System] = {
    value.name: value
    for info in iter_modules(__path__)
    for value in vars(import_module(f"{__name__}.{info.name}")).values()
    if isinstance(value, System)
}


def get_system(system: str | System, **changes: Any) -> System:
    """A plant by name (or the one given), with changed settings: ``get_system("van_der_pol", mu=2.0)``.

    Raises:
        ValueError: there is no such plant or setting; the message suggests the closest.
    """
    if isinstance(system, str):
        if system not in SYSTEMS:
            close = difflib.get_close_matches(system, SYSTEMS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"there is no plant {system!r}.{hint} Known plants: {', '.join(SYSTEMS)}.")
        system = SYSTEMS[system]
    for name in changes:
        if name not in system.settings:
            raise ValueError(f"{system.name} has no setting {name!r}.{nearest_names(name, set(system.settings))}")
    return system.replace(**changes) if changes else system


def get_systems(names: str) -> list[System]:
    """The plants that ``--system`` names, separated by commas, or all of them.

    Raises:
        ValueError: there is no such plant.
    """
    return list(SYSTEMS.values()) if names == ALL else [get_system(part) for part in names.split(",")]


__all__ = ["ALL", "DIVERGED", "SYSTEMS", "TERMINAL_WEIGHT", "System", "get_system", "get_systems"]
