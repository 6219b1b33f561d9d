"""Plants with changed settings, by name: ``van_der_pol(mu=1.5,horizon=20)``.

Commands take settings as ``--set NAME=VALUE``. A plant with changed settings gets a name that states them, in the
syntax of a call of `control_envs.get_system`. Datasets, run folders and reports keep only this name, and
`control_envs.get_system` makes the plant again from it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from control_envs.systems.base import System, shortest
from control_envs.systems.checks import nearest_names

__all__ = [
    "SET_HELP",
    "add_settings_flag",
    "check_names",
    "parse_name",
    "parse_setting",
    "split_names",
    "with_settings",
]

SET_HELP = "changes a setting of every plant, such as horizon=20, dt=0.25, mu=1.5 or Q=10,1"


def add_settings_flag(parser: argparse.ArgumentParser) -> None:
    """Adds ``--set NAME=VALUE``, which may be repeated; the list goes to `control_envs.systems.get_systems`."""
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=f"{SET_HELP}; repeatable")


def with_settings(system: System, settings: Mapping[str, Any]) -> System:
    """A plant with changed settings and a name that states them.

    Settings that the plant has already are left out of the name, so that equal plants have equal names.

    Raises:
        ValueError: the plant has no such setting, or a value is invalid.
    """
    check_names(system, settings)
    changed = system.replace(**settings)
    stated = [name for name in system.settings if name in settings and not _agree(system, changed, name)]
    listed = ",".join(f"{name}={_text(settings[name])}" for name in stated)
    return changed.replace(name=f"{system.name}({listed})") if listed else system


def check_names(system: System, names: Mapping[str, Any]) -> None:
    """Checks that a plant has these settings.

    Raises:
        ValueError: it lacks one; the message suggests the closest.
    """
    for name in names:
        if name not in system.settings:
            raise ValueError(f"{system.name} has no setting {name!r}.{nearest_names(name, set(system.settings))}")


def _agree(one: System, other: System, name: str) -> bool:
    before, after = (s.params[name] if name in s.params else getattr(s, name) for s in (one, other))
    return bool(np.array_equal(before, after))


def _text(value: Any) -> str:
    """A value as `parse_setting` reads it, without blanks."""
    return shortest(value) if np.ndim(value) == 0 else "[" + ",".join(map(_text, value)) + "]"


def parse_name(name: str) -> tuple[str, dict[str, Any]]:
    """The plant and the settings that a name such as ``van_der_pol(mu=1.5)`` states.

    Raises:
        ValueError: a setting is not NAME=VALUE.
    """
    plant, opened, rest = name.strip().partition("(")
    if not opened or not rest.endswith(")"):
        return name.strip(), {}
    return plant, dict(parse_setting(part) for part in split_names(rest[:-1]))


def parse_setting(text: str) -> tuple[str, Any]:
    """The name and the value of ``NAME=VALUE``: a number, or numbers in brackets; the outer brackets may be left out.

    Raises:
        ValueError: the text is not a name, an equals sign, and numbers.
    """
    name, _, value = (part.strip() for part in text.partition("="))
    try:
        numbers = json.loads(f"[{value}]")
    except ValueError:
        numbers = None
    if not name.isidentifier() or not numbers or not _is_numeric(numbers):
        raise ValueError(f"a setting is NAME=VALUE, such as horizon=20 or x_bounds=[[-1,1],[-0.5,0.5]], not {text!r}")
    return name, numbers[0] if len(numbers) == 1 else numbers


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(_is_numeric, value))
    return type(value) in (int, float)


def split_names(text: str) -> list[str]:
    """The parts of a list separated by commas; commas within parentheses or brackets separate nothing."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
