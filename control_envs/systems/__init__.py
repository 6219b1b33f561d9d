"""The plants. To add one, add a module: every `System` at the top level of a module here is registered."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from control_envs.systems.base import DIVERGED, TERMINAL_WEIGHT, System
from control_envs.systems.settings import check_names, parse_name, parse_setting, split_names, with_settings

ALL = "all"  # the value of --system for every plant

SYSTEMS: dict[str, System] = {
    value.name: value
    for info in iter_modules(__path__)
    for value in vars(import_module(f"{__name__}.{info.name}")).values()
    if isinstance(value, System)
}


def get_system(system: str | System, **changes: Any) -> System:
    """A plant by name (or the one given), with changed settings: ``get_system("van_der_pol", mu=2.0)``.

    A name may state settings, as the names do that ``--set`` makes: ``get_system("van_der_pol(mu=2)")``.

    Raises:
        ValueError: there is no such plant or setting; the message suggests the closest.
    """
    if not isinstance(system, str | System):
        raise ValueError(f"system must be a plant's name or a System, not {system!r}")
    if isinstance(system, str):
        system = _named(_registered(parse_name(system)[0]), system)
    check_names(system, changes)
    return system.replace(**changes) if changes else system


def _registered(name: str) -> System:
    if name not in SYSTEMS:
        close = difflib.get_close_matches(name, SYSTEMS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"there is no plant {name!r}.{hint} Known plants: {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]


@cache
def _named(system: System, name: str) -> System:
    """The plant with the settings that a name states; one name gives one object, since results are kept by object."""
    return with_settings(system, parse_name(name)[1])


def get_systems(names: str, settings: Sequence[str] = ()) -> list[System]:
    """The plants that ``--system`` names, separated by commas, or all of them, each once.

    Args:
        names: names of plants; they may state settings.
        settings: what ``--set`` gives: ``NAME=VALUE``, applied to every plant.

    Raises:
        ValueError: there is no such plant or setting, or a value is invalid.
    """
    changes = dict(map(parse_setting, settings))
    chosen = {}
    for part in SYSTEMS if names == ALL else split_names(names):
        plant, own = parse_name(part)
        name = with_settings(_registered(plant), own | changes).name
        chosen[name] = get_system(name)
    return list(chosen.values())


def one_system(name: str, settings: Sequence[str] = ()) -> System:
    """The plant that ``--system`` names in a command that takes one; arguments and errors as for `get_systems`."""
    systems = get_systems(name, settings)
    if len(systems) > 1:
        raise ValueError(f"--system takes one plant here, not {name!r}: choose from {', '.join(SYSTEMS)}")
    return systems[0]


__all__ = ["ALL", "DIVERGED", "SYSTEMS", "TERMINAL_WEIGHT", "System", "get_system", "get_systems", "one_system"]
