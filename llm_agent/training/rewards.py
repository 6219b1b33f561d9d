"""The environment's rewards as reward functions for TRL: picklable, each with a name.

Each completion is scored with the plant and initial state of its own row (the dataset's ``system`` and ``x0`` columns).
Every reward term is logged through TRL's ``log_metric``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np

from control_envs import get_system, score_completions
from control_envs.rewards import DEFAULT_VERSION, get_reward
from control_envs.text import Verdict, approximate_format_reward, exact_format_reward
from control_envs.utils.types import Array

__all__ = [
    "ApproximateFormatReward",
    "ControlReward",
    "ExactFormatReward",
    "LogMetric",
    "completion_text",
    "group_numbers",
    "reward_functions",
    "training_progress",
    "variance_shares",
]

LogMetric = Callable[[str, float], None]


@dataclass(frozen=True)
class ControlReward:
    """The environment's reward of each completion."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "control"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        system: Sequence[str] | None = None,
        x0: Sequence[Sequence[float]] | None = None,
        trainer_state: Any = None,
        log_metric: LogMetric | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """Rewards of B completions from B rows.

        Args:
            prompts: unused; TRL passes it.
            completions: B texts or conversations, as `completion_text` reads them.
            system: B names of plants; TRL passes the dataset's column of that name.
            x0: B initial states; the same.
            trainer_state: passed by TRL; some reward versions depend on the training progress.
            log_metric: passed by TRL; None to log nothing.

        Raises:
            ValueError: rows without a plant or an initial state.
        """
        system, x0 = _column("system", system), _column("x0", x0)
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
    """The format reward for a completion in exactly the requested format."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "format_exact"

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Rewards of B completions."""
        spec = get_reward(self.reward_version).format
        return [exact_format_reward(completion_text(c), spec) for c in completions]


@dataclass(frozen=True)
class ApproximateFormatReward:
    """The graded format reward: a part for each tag that occurs exactly once."""

    reward_version: str = DEFAULT_VERSION
    __name__: ClassVar[str] = "format_approximate"

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **kwargs: Any) -> list[float]:
        """Rewards of B completions."""
        spec = get_reward(self.reward_version).format
        return [approximate_format_reward(completion_text(c), spec) for c in completions]


def reward_functions(reward_version: str = DEFAULT_VERSION) -> list[Any]:
    """The three reward functions of one version, for ``GRPOTrainer(reward_funcs=...)``.

    Raises:
        ValueError: unknown version.
    """
    get_reward(reward_version)
    return [ControlReward(reward_version), ExactFormatReward(reward_version), ApproximateFormatReward(reward_version)]


def group_numbers(system: Sequence[str], x0: Sequence[Sequence[float]]) -> np.ndarray:
    """The group of each row, (B,): consecutive rows with the same plant and initial state."""
    problems = list(zip(system, map(tuple, x0), strict=True))
    return np.cumsum([i > 0 and problems[i] != problems[i - 1] for i in range(len(problems))])


def variance_shares(terms: dict[str, Array], groups: np.ndarray) -> dict[str, float]:
    """Each term's share of the reward's variance within groups, from which the advantage comes.

    A share is the covariance of the term with the sum of all terms, divided by the variance of the sum. Shares add up
    to 1; a negative share counteracts the others. Empty if no group has any variance.

    Args:
        terms: values by name, each (B,).
        groups: the group of each row, (B,).
    """
    counts = np.bincount(groups)
    centred = {name: v - (np.bincount(groups, v) / counts)[groups] for name, v in terms.items()}
    whole = sum(centred.values(), start=np.zeros(len(groups)))
    variance = float(whole @ whole)
    return {name: float(v @ whole) / variance for name, v in centred.items()} if variance > 0 else {}


def completion_text(completion: Any) -> str:
    """The text of a completion: of a plain text itself, of a conversation what the assistant said last.

    Messages of others after that, such as a tool's, are passed over. There is no text, "", in a conversation without
    the assistant and in a message without content, whose text a server may have put into ``reasoning_content``. Nothing
    raises.
    """
    if isinstance(completion, str):
        return completion
    messages = completion if isinstance(completion, Sequence) else [completion]
    for message in reversed(messages):
        if isinstance(message, Mapping) and message.get("role", "assistant") == "assistant":
            return _content_text(message.get("content"))
    return ""


def training_progress(trainer_state: Any) -> float:
    """The training progress in [0, 1], from the trainer's state; 0 without one."""
    if trainer_state is None or not trainer_state.max_steps:
        return 0.0
    return min(trainer_state.global_step / trainer_state.max_steps, 1.0)


def _content_text(content: Any) -> str:
    """The text of a message's content: a text, or a list of parts, of which those with text are joined."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else []
    return "".join(map(_part_text, parts))


def _part_text(part: Any) -> str:
    """The text of a part; "" of a picture, a tool call or a thought."""
    if isinstance(part, Mapping):
        part = part.get("text") if part.get("type", "text") in ("text", "output_text") else None
    return part if isinstance(part, str) else ""


def _column(name: str, values: Sequence[Any] | None) -> Sequence[Any]:
    """A column of the rows, or the error that names the columns needed."""
    if values is None or any(value is None for value in values):
        raise ValueError(
            f"{'no' if values is None else 'rows without'} {name}: the reward needs the columns system and x0 in every "
            "row, as make_prompts writes them (and remove_unused_columns=False in TRL's settings)"
        )
    return values


def _log(
    terms: dict[str, Array],
    verdicts: np.ndarray,
    rolled_out: dict[str, Array],
    groups: np.ndarray,
    log_metric: LogMetric,
) -> None:
    """Logs a batch. TRL averages over batches and processes, so shares that are 0 are logged too."""
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
