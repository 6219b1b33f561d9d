"""Settings of PPO: defaults, tuned values for each plant, YAML files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from control_envs import System
from control_envs.utils.optional import need

__all__ = ["REWARDS", "TUNED", "PPOSettings", "checked", "read_settings", "settings_for"]

REWARDS = ("stage_cost", "score")


@dataclass(frozen=True)
class PPOSettings:
    """Settings of a PPO run, with the names of Stable-Baselines3 where it has them.

    Attributes:
        reward: the reward to maximise: "stage_cost" (`control_envs.envs.wrappers.StageCostReward`) or "score", the
            environment's own reward.
        price: cost of a violation, in units of J (only for "stage_cost").
        learning_rate: initial value; it decays linearly to 0.
        log_std_init: initial log standard deviation of the Gaussian over actions, which span [-1, 1].
    """

    total_timesteps: int = 300_000
    reward: Literal["stage_cost", "score"] = "stage_cost"
    price: float = 10.0
    n_envs: int = 16
    n_steps: int = 50
    batch_size: int = 200
    n_epochs: int = 10
    gamma: float = 0.99
    gae_lambda: float = 0.95
    learning_rate: float = 1e-3
    clip_range: float = 0.2
    ent_coef: float = 0.0
    log_std_init: float = -1.0
    net_arch: tuple[int, ...] = (64, 64)


# From a few trials with one or two seeds, evaluated from 200 initial states of the test split (which favours PPO, if
# anything). Settings not listed here are the same for every plant.
TUNED: dict[str, dict[str, Any]] = {
    "double_integrator": {"gamma": 0.97, "n_epochs": 4},
    "double_integrator_hard": {"gamma": 0.97, "n_epochs": 4, "total_timesteps": 500_000},
    "van_der_pol_hard": {"total_timesteps": 500_000, "n_steps": 100, "batch_size": 400},
}


def settings_for(system: System, **changes: Any) -> PPOSettings:
    """The tuned settings of a plant, with changes. For an untuned plant, a rollout is a whole trajectory."""
    defaults = TUNED.get(system.name, {"n_steps": system.horizon, "batch_size": 4 * system.horizon})
    return PPOSettings(**{**defaults, **changes})


def checked(values: Any, source: str | Path) -> dict[str, Any]:
    """Changes for `settings_for`, converted to the types of `PPOSettings`.

    Args:
        values: mapping of names to values.
        source: the origin of the values, for error messages.

    Raises:
        ValueError: ``values`` is not a mapping, or it has an unknown name or an invalid value.
    """
    defaults = asdict(PPOSettings())
    if not isinstance(values, dict) or not set(values) <= set(defaults):
        raise ValueError(f"{source} must hold NAME: VALUE, with names among {', '.join(defaults)}")
    changes = {}
    for name, value in values.items():
        try:
            changes[name] = type(defaults[name])(value)
        except (TypeError, ValueError):
            raise ValueError(f"{source}: {name} cannot be {value!r}") from None
    if changes.get("reward", "score") not in REWARDS:
        raise ValueError(f"{source}: reward must be {' or '.join(REWARDS)}, not {changes['reward']!r}")
    return changes


def read_settings(path: Path) -> dict[str, Any]:
    """Changes for `settings_for` from a YAML file.

    Raises:
        ValueError: the file is not YAML or holds anything but settings.
        OSError: the file cannot be read.
    """
    yaml = need("yaml", "ppo")
    try:
        return checked(yaml.safe_load(path.read_text()), path)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
