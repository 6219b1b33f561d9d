"""The environment's rewards as TRL reward functions: top-level, picklable, one named reward each.

Each completion is scored from its own row's plant and initial state (the dataset's ``system`` and ``x0`` columns),
and every reward term is logged through TRL's ``log_metric``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from control_envs import get_system, score_completions
from control_envs.rewards import DEFAULT_VERSION, get_reward
from control_envs.text import Verdict, approximate_format_reward, exact_format_reward
from control_envs.utils.types import Array

LogMetric = Callable[[str, float], None]


@dataclass(frozen=True)
class ControlReward:
    """The environment's own reward of each completion."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "control"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        system: Sequence[str],
        x0: Sequence[Sequence[float]],
        trainer_state: Any = None,
        log_metric: LogMetric | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """Rewards of B completions from B rows.

        Args:
            prompts: unused; TRL passes it.
            completions: B texts, or B conversations that end with the assistant's text.
            system: B names of plants.
            x0: B initial states.
            trainer_state: TRL's, for versions that shape their terms with the training progress.
            log_metric: TRL's.
        """
        texts = [completion_text(c) for c in completions]
        totals = np.empty(len(texts))
        progress = training_progress(trainer_state)
        terms: dict[str, Array] = {}
        verdicts = np.empty(len(texts), dtype=object)
        rolled_out = {name: np.full(len(texts), np.nan) for name in ("success", "final_error", "cost")}
        for name in dict.fromkeys(system):
            rows = np.flatnonzero(np.array(system) == name)
            scores = score_completions(
                get_system(name),
                np.array([x0[int(i)] for i in rows]),
                [texts[i] for i in rows],
                self.reward_version,
                progress,
            )
            totals[rows], verdicts[rows] = scores.total, scores.verdicts
            for term, values in scores.terms.items():
                terms.setdefault(term, np.zeros(len(texts)))[rows] = values
            for name, values in rolled_out.items():
                values[rows[scores.valid]] = getattr(scores.metrics, name)
        if log_metric is not None:
            _log(terms, verdicts, rolled_out, group_numbers(system, x0), log_metric)
        return totals.tolist()


@dataclass(frozen=True)
class ExactFormatReward:
    """The format reward for an answer in exactly the format asked for."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "format_exact"

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Rewards of B completions."""
        spec = get_reward(self.reward_version).format
        return [exact_format_reward(completion_text(c), spec) for c in completions]


@dataclass(frozen=True)
class ApproximateFormatReward:
    """The graded format reward: something for each tag that stands exactly once."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "format_approximate"

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Rewards of B completions."""
        spec = get_reward(self.reward_version).format
        return [approximate_format_reward(completion_text(c), spec) for c in completions]


def reward_functions(reward_version: str = DEFAULT_VERSION) -> list[Any]:
    """The three rewards of one version, for ``GRPOTrainer(reward_funcs=...)``.

    Raises:
        ValueError: unknown version.
    """
    get_reward(reward_version)
    return [ControlReward(reward_version), ExactFormatReward(reward_version), ApproximateFormatReward(reward_version)]


def group_numbers(system: Sequence[str], x0: Sequence[Sequence[float]]) -> np.ndarray:
    """The group of each row, (B,): rows one after the other that ask the same."""
    asked = list(zip(system, map(tuple, x0), strict=True))
    return np.cumsum([i > 0 and asked[i] != asked[i - 1] for i in range(len(asked))])


def variance_shares(terms: dict[str, Array], groups: np.ndarray) -> dict[str, float]:
    """Each term's share of the reward's variance within groups: what drives the advantage.

    The covariance of the term with the whole over the whole's variance, so that shares sum to 1 (one below 0 works
    against the rest); nothing where no group has any variance.

    Args:
        terms: by name, each (B,).
        groups: the group of each row, (B,).
    """
    counts = np.bincount(groups)
    centred = {name: v - (np.bincount(groups, v) / counts)[groups] for name, v in terms.items()}
    whole = sum(centred.values(), start=np.zeros(len(groups)))
    variance = float(whole @ whole)
    return {name: float(v @ whole) / variance for name, v in centred.items()} if variance > 0 else {}


def completion_text(completion: Any) -> str:
    """The text of a completion, plain or conversational."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def training_progress(trainer_state: Any) -> float:
    """How far a training has come, in [0, 1], by the trainer's state."""
    if trainer_state is None or not trainer_state.max_steps:
        return 0.0
    return min(trainer_state.global_step / trainer_state.max_steps, 1.0)


def _log(
    terms: dict[str, Array],
    verdicts: np.ndarray,
    rolled_out: dict[str, Array],
    groups: np.ndarray,
    log_metric: LogMetric,
) -> None:
    """Logs a batch. TRL takes the mean over batches and processes: a share that is 0 here is logged as well."""
    for term, values in terms.items():
        log_metric(f"reward_terms/{term}", float(values.mean()))
    for term, share in variance_shares(terms, groups).items():
        log_metric(f"variance_share/{term}", share)
    for verdict in get_args(Verdict):
        log_metric(f"verdicts/{verdict}", float((verdicts == verdict).mean()))
    planned = verdicts == "ok"
    log_metric("control/parsed", float(planned.mean()))
    log_metric("control/success", float(np.nan_to_num(rolled_out["success"]).mean()))
    log_metric("groups/without_plan", float((np.bincount(groups, planned) == 0).mean()))
    if planned.any():
        for name in ("final_error", "cost"):
            log_metric(f"control/{name}", float(np.nanmean(rolled_out[name])))
