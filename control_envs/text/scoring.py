"""Scores of batches of completions: parse, simulate, score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from control_envs.dynamics.trajectory import Trajectory, simulate
from control_envs.rewards import DEFAULT_VERSION, RewardSpec, get_reward, score
from control_envs.rewards.metrics import Metrics, measure
from control_envs.rewards.running import simulate_compiled
from control_envs.systems.base import System
from control_envs.text.batch_parser import parse_completions
from control_envs.text.parser import Verdict
from control_envs.utils.types import Array

__all__ = ["CHUNK", "TextScores", "invalid_terms", "score_completions"]

CHUNK = 2048  # completions scored at a time: intermediate arrays then fit the processor's caches


@dataclass(frozen=True, eq=False)
class TextScores:
    """Scores of B completions.

    Attributes:
        total: the environment's reward, shape (B,).
        terms: reward terms, each (B,), 0 where a term does not apply; their sum is the total before the floor. A text
            without a plan has its whole score under "no_answer" or "wrong_count".
        verdicts: B parse verdicts.
        valid: which texts hold a plan, shape (B,).
        trajectory: the trajectories of the valid texts, batch shape (valid.sum(),).
        metrics: their metrics.
    """

    total: Array
    terms: dict[str, Array]
    verdicts: list[Verdict]
    valid: np.ndarray
    trajectory: Trajectory
    metrics: Metrics


def invalid_terms(verdict: Verdict, spec: RewardSpec) -> dict[str, float]:
    """The only reward term of a text without a plan."""
    return {"wrong_count": spec.wrong_count} if verdict == "wrong_count" else {"no_answer": spec.no_answer}


def score_completions(
    system: System,
    x0: ArrayLike,
    completions: Sequence[str],
    reward_version: str = DEFAULT_VERSION,
    training_progress: float = 0.0,
    compiled: bool = False,
) -> TextScores:
    """Scores completions, each from its own initial state.

    Args:
        system: the plant.
        x0: initial states, shape (B, n), one per completion.
        completions: B texts.
        reward_version: a key of `control_envs.rewards.REWARDS`.
        training_progress: in [0, 1], for versions whose terms depend on it.
        compiled: use compiled loops (numba, the extra ``fast``). Compiling takes about a second for each plant. Scores
            are the same up to rounding.

    Raises:
        ValueError: x0 is not (B, n) for B completions.
        ImportError: compiled, but numba is not installed.
    """
    x0 = np.asarray(x0, dtype=np.float64)
    if x0.shape != (len(completions), system.n):
        raise ValueError(f"x0 has shape {x0.shape}: {len(completions)} completions need one row of {system.n} each")
    spec, simulate_batch = get_reward(reward_version), simulate_compiled if compiled else _simulate_and_measure
    chunks = [
        _score_chunk(system, x0[i : i + CHUNK], completions[i : i + CHUNK], spec, training_progress, simulate_batch)
        for i in range(0, max(len(x0), 1), CHUNK)
    ]
    return chunks[0] if len(chunks) == 1 else _join(chunks)


def _simulate_and_measure(system: System, x0: Array, controls: Array) -> tuple[Trajectory, Metrics]:
    trajectory = simulate(system, x0, controls)
    return trajectory, measure(trajectory)


def _score_chunk(
    system: System,
    x0: Array,
    completions: Sequence[str],
    spec: RewardSpec,
    training_progress: float,
    simulate_batch: Callable[[System, Array, Array], tuple[Trajectory, Metrics]],
) -> TextScores:
    parsed = parse_completions(completions, system.horizon, system.m)
    valid = parsed.valid
    trajectory, metrics = simulate_batch(system, x0[valid], parsed.controls)
    scored = score(metrics, spec.version, training_progress)
    names = (*scored.terms, "no_answer", "wrong_count")
    terms = {name: np.zeros(len(valid)) for name in names}
    total = np.zeros(len(valid))
    total[valid] = scored.total
    for name, values in scored.terms.items():
        terms[name][valid] = values
    for row in np.flatnonzero(~valid):
        for name, value in invalid_terms(parsed.verdicts[row], spec).items():
            terms[name][row] = total[row] = value
    return TextScores(total, terms, parsed.verdicts, valid, trajectory, metrics)


def _join(chunks: Sequence[TextScores]) -> TextScores:
    join = np.concatenate
    trajectories = [c.trajectory for c in chunks]
    return TextScores(
        join([c.total for c in chunks]),
        {name: join([c.terms[name] for c in chunks]) for name in chunks[0].terms},
        [verdict for c in chunks for verdict in c.verdicts],
        join([c.valid for c in chunks]),
        Trajectory(
            trajectories[0].system,
            join([t.x for t in trajectories]),
            join([t.u for t in trajectories]),
            join([t.u_written for t in trajectories]),
        ),
        Metrics(**{f.name: join([getattr(c.metrics, f.name) for c in chunks]) for f in fields(Metrics)}),
    )
