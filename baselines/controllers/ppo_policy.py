"""Trained PPO policies as state feedback, loaded without unpickling."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from baselines.controllers.policy import Feedback
from baselines.controllers.ppo import (
    POLICY,
    SETTINGS,
    STATISTICS,
    PPOSettings,
    checked,
    environments,
    new_model,
    read_run,
)
from control_envs import System
from control_envs.envs import ControlEnv
from control_envs.utils.optional import need
from control_envs.utils.types import Array

__all__ = ["feedback", "how_to_train", "load_policy", "trained_policies"]


def load_policy(folder: Path, system: System, name: str = "PPO") -> Feedback:
    """A trained policy as state feedback; nothing is unpickled.

    Raises:
        ValueError: the folder holds no finished run, or a run of another plant.
    """
    if not (folder / POLICY).is_file():
        raise ValueError(f"{folder} holds no finished PPO run (there is no {POLICY} in it)")
    settings = checked(read_run(folder / SETTINGS)["settings"], folder / SETTINGS)
    env = environments(system, PPOSettings(**settings))
    model = new_model(env, PPOSettings(**settings), seed=None)
    try:
        tensors = need("safetensors.torch", "ppo").load_file(folder / POLICY)
        statistics = {key: tensors.pop(key).numpy() for key in STATISTICS}
        model.policy.load_state_dict(tensors)
    except (KeyError, RuntimeError, need("safetensors", "ppo").SafetensorError) as error:
        raise ValueError(f"{folder / POLICY} is not a PPO policy for {system.name}: {error}") from None
    env.obs_rms.mean, env.obs_rms.var = (statistics[key] for key in STATISTICS)
    return feedback(model, env, system, name)


def feedback(model: Any, normaliser: Any, system: System, name: str = "PPO") -> Feedback:
    """A model and its normaliser as state feedback in physical units (mean actions, no noise)."""
    env = ControlEnv(system)

    def control(x: Array, k: int) -> Array:
        actions, _ = model.predict(normaliser.normalize_obs(x), deterministic=True)
        return system.saturate(env.to_control(actions))

    return Feedback(name, control)


def trained_policies(output: Path, system: System) -> list[Feedback]:
    """Every finished policy of a plant with exactly these settings, one per seed."""
    policies = []
    for path in sorted((output / system.name).glob(f"seed_*/{SETTINGS}")):  # the name may hold brackets
        record = read_run(path)
        if record["done"] and record["system"] == system.to_dict():
            policies.append(load_policy(path.parent, system, f"PPO seed {record['seed']}"))
    return policies


def how_to_train(system: System) -> str:
    """What a table says where a plant has no trained policy."""
    return f"train it with `python -m baselines.ppo --system {shlex.quote(system.name)}`"
