"""The search spaces of `python -m llm_agent.tune`, for each kind of training; imports no heavy package.

A file given with ``--space`` changes their entries:

    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}   # a range; integers if both ends are
    num_generations: [8, 16]                                # one of these
    adam_epsilon: 1.0e-3                                    # fixed
    epsilon: null                                           # not searched: keeps its default
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control_envs.utils.files import check_input_file
from control_envs.utils.optional import need

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["SPACES", "Choice", "Range", "Space", "described", "with_changes"]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; integers if both ends are.

    Raises:
        ValueError: ``low`` is greater than ``high``, or a logarithmic range does not start above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"a range must go up, not from {self.low} to {self.high}")
        if self.log and not self.low > 0:
            raise ValueError(f"a logarithmic range must start above 0, not at {self.low}")

    def suggest(self, trial: Trial, name: str) -> float:
        """The trial's value."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def first(self) -> float:
        """The lower end, as an example of a value."""
        return self.low

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of several values, which may be lists."""

    values: tuple[Any, ...]

    def suggest(self, trial: Trial, name: str) -> Any:
        """The trial's value. Optuna's storage cannot hold lists, so that they are stored as JSON."""
        labels = [json.dumps(v) if isinstance(v, list) else v for v in self.values]
        return self.values[labels.index(trial.suggest_categorical(name, labels))]

    def first(self) -> Any:
        """The first value, as an example."""
        return self.values[0]

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Space = dict[str, Range | Choice]

# The embedded model needs learning rates a hundred times those of pretrained models, hence two spaces, as with presets.
# Temperature and min_p are in neither: evaluation samples as training does, so the search would choose low-variance
# sampling instead of better training.
SPACES: dict[str, Space] = {
    "tiny_grpo": {
        "learning_rate": Range(2e-4, 5e-3, log=True),
        "adam_epsilon": Range(1e-4, 1e-2, log=True),
        "top_entropy_quantile": Choice((0.02, 0.05, 0.1, 0.2, 1.0)),
        "num_generations": Choice((8, 16, 32)),
        "num_iterations": Choice((1, 2)),
        "epsilon": Choice((0.1, 0.2, 0.3)),
        "scale_rewards": Choice(("group", "batch", "none")),
    },
    "grpo": {
        "learning_rate": Range(1e-6, 1e-4, log=True),
        "beta": Choice((0.0, 0.001, 0.01, 0.04)),
        "num_generations": Choice((4, 8, 16)),
        "num_iterations": Choice((1, 2)),
        "epsilon": Choice((0.1, 0.2, 0.3)),
        "scale_rewards": Choice(("group", "batch", "none")),
        "loss_type": Choice(("dapo", "dr_grpo", "bnpo")),
    },
    "ppo": {
        "learning_rate": Range(1e-4, 3e-3, log=True),
        "n_steps": Choice((25, 50, 100, 200)),
        "batch_size": Choice((50, 100, 200, 400)),
        "n_epochs": Choice((4, 10, 20)),
        "gamma": Choice((0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)),
        "gae_lambda": Choice((0.8, 0.9, 0.92, 0.95, 0.98, 0.99, 1.0)),
        "ent_coef": Range(1e-6, 1e-2, log=True),
        "clip_range": Choice((0.1, 0.2, 0.3)),
        "log_std_init": Range(-2.0, 0.0),
        "net_arch": Choice(([32, 32], [64, 64], [128, 128], [256, 256])),
    },
}


def described(name: str) -> str:
    """One entry of `SPACES` as text, one line per hyperparameter."""
    return "\n".join(f"  {key:22}{values}" for key, values in SPACES[name].items())


def with_changes(space: Space, path: Path | None) -> Space:
    """A space with the changes in a YAML file; unchanged without a file.

    Raises:
        ValueError: the file is not valid.
        OSError: the file cannot be read.
    """
    if path is None:
        return space
    yaml = need("yaml", "tune")
    try:
        found = yaml.safe_load(check_input_file(path, "--space").read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} must contain NAME: VALUES, one per line")
    changed = {**space, **{str(key): _entry(f"{path}: {key}", value) for key, value in found.items()}}
    return {key: entry for key, entry in changed.items() if entry is not None}


def _entry(source: str, value: Any) -> Range | Choice | None:
    """The range or choice of one entry of the file; None for null."""
    if isinstance(value, Mapping):
        return _range(source, value)
    if value == []:
        raise ValueError(f"{source} is an empty list: give at least one value")
    if isinstance(value, list):
        return Choice(tuple(value))
    return None if value is None else Choice((value,))


def _range(source: str, value: Mapping[str, Any]) -> Range:
    if not {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        raise ValueError(f"{source}: a range has low, high and optionally log, not {', '.join(map(str, value))}")
    ends = {}
    for end in ("low", "high"):
        try:  # YAML reads 1e-4, without a point, as text
            ends[end] = value[end] if isinstance(value[end], int) else float(value[end])
        except (TypeError, ValueError):
            raise ValueError(f"{source}: {end} must be a number, not {value[end]!r}") from None
    try:
        return Range(**ends, log=bool(value.get("log", False)))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
