"""Registration of plants by name, in Gymnasium and in this package."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

from gymnasium.envs.registration import register

from control_envs.systems import SYSTEMS, System

__all__ = ["GROUP", "env_id", "register_all", "register_system"]

# Other packages register plants for every command through entry points of this group, in their pyproject.toml:
#   [project.entry-points."control_envs.systems"]
#   pendulum = "my_package.plants:PENDULUM"
GROUP = "control_envs.systems"


def env_id(system: str, text: bool = False) -> str:
    """The Gymnasium id of a plant: ``env_id("van_der_pol", text=True)`` is "VanDerPolText-v0"."""
    return "".join(word.capitalize() for word in system.split("_")) + ("Text" if text else "") + "-v0"


def register_system(system: System) -> System:
    """Registers a plant by name in this process, and its environments with ``gym.make``; returns the plant.

    Raises:
        ValueError: the name is not in snake case, or another plant has it.
    """
    if not (system.name.isidentifier() and system.name.islower()):
        raise ValueError(f"a plant's name must be in snake case, such as 'my_pendulum', not {system.name!r}")
    if SYSTEMS.get(system.name, system) is not system:
        raise ValueError(f"another plant of the name {system.name!r} is registered already")
    SYSTEMS[system.name] = system
    kwargs = {"system": system.name}
    register(
        env_id(system.name),
        entry_point="control_envs.envs:ControlEnv",
        vector_entry_point="control_envs.envs.vector:BatchedControlEnv",
        kwargs=kwargs,
    )
    register(env_id(system.name, text=True), entry_point="control_envs.envs:TextControlEnv", kwargs=kwargs)
    return system


def register_all() -> None:
    """Registers the plants of this package and of other packages; a plant that fails to load gives a warning."""
    for system in list(SYSTEMS.values()):
        register_system(system)
    for entry in entry_points(group=GROUP):
        try:
            register_system(entry.load())
        except (ImportError, AttributeError, ValueError) as error:
            warnings.warn(f"plant {entry.name} ({entry.value}) is left out: {error}", stacklevel=2)
