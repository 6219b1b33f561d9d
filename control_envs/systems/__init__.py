"""The plants. Every `System` at the top of a module of this package is registered; a new plant is a new file."""

from __future__ import annotations

import difflib
from importlib import import_module
from pkgutil import iter_modules

from control_envs.systems.base import DIVERGED, TERMINAL_WEIGHT, System

ALL = "all"  # what --system says for every plant

SYSTEMS: dict[str, System] = {
    value.name: value
    for info in iter_modules(__path__)
    for value in vars(import_module(f"{__name__}.{info.name}")).values()
    if isinstance(value, System)
}


def get_system(system: str | System, **changes) -> System:
    """The plant of that name (or the one given), with settings changed: ``get_system("van_der_pol", mu=2.0)``.

    Raises:
        ValueError: there is no such plant or setting; the message names the nearest.
    """
    if isinstance(system, str):
        if system not in SYSTEMS:
            close = difflib.get_close_matches(system, SYSTEMS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"there is no plant {system!r}.{hint} Known plants: {', '.join(SYSTEMS)}.")
        system = SYSTEMS[system]
    return system.replace(**changes) if changes else system


def get_systems(names: str) -> list[System]:
    """The plants that ``--system`` names, with commas between, or all of them.

    Raises:
        ValueError: there is no such plant.
    """
    return list(SYSTEMS.values()) if names == ALL else [get_system(part) for part in names.split(",")]


__all__ = ["ALL", "DIVERGED", "SYSTEMS", "TERMINAL_WEIGHT", "System", "get_system", "get_systems"]
