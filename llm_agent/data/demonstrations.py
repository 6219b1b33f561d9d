"""Demonstrations for SFT, from seeded initial states of disjoint splits.

There are three kinds of demonstrations:

* ``expert``: saturated LQR. Where LQR violates a bound, the cheapest feasible LQR among several control weights.
* ``varied``: state feedback u = -K x. The gains K are drawn at random around LQR's for each demonstration and stated
  in the reasoning. SFT then learns the average of these gains. Which gains to state becomes a small decision that
  carries most of the reward's variance, and that GRPO can learn.
* ``optimal``: the cheapest plan that keeps all bounds (`llm_agent.data.teachers.OptimalTeacher`). No gains are stated.

Demonstrations may be perturbed. A model trained only on clean plans treats its own errors as part of the plan and adds
to them. Perturbed demonstrations therefore add errors to the written controls. The target at each control either

* ``ignores`` the errors: it is the control of the unperturbed plan, so that the model learns to compute a control from
  the problem and the gains, not to continue the controls before it; or
* ``answers`` the errors: it is the teacher's control at the state that the errors led to (DART: Laskey et al., "Noise
  injection for robust imitation learning", arXiv 1703.09327).

With the reasonings ``states`` and ``working`` errors are always answered, because the state is there to read.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from baselines.controllers.lqr import simulate_feedback
from control_envs import System, format_completion, get_system, measure, sample_states, score, simulate
from control_envs.dynamics.trajectory import Trajectory
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems.initial_states import SPLITS, Split
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.component_sum import STATE_DECIMALS
from llm_agent.data.prompts import derived_seed, make_prompts, prompt_rows, split_evenly
from llm_agent.data.reasoning import WITH_STATES, Reasoning, format_reasoning
from llm_agent.data.rollout import draw_errors, draw_exploration, rollout
from llm_agent.data.teachers import GAIN_RANGE, GainTeacher, OptimalTeacher, Teacher
from llm_agent.data.working import Working, work

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "ERRORS",
    "GAIN_RANGE",
    "HORIZON_RANGE",
    "KINDS",
    "DemonstrationConfig",
    "Demonstrations",
    "Errors",
    "Kind",
    "demonstrate",
    "demonstration_rows",
    "derived_seed",
    "make_demonstrations",
    "make_prompts",
    "prompt_rows",
]

Errors = Literal["ignored", "answered"]
ERRORS: tuple[Errors, ...] = ("ignored", "answered")
Kind = Literal["expert", "varied", "optimal"]
KINDS: tuple[Kind, ...] = ("expert", "varied", "optimal")
# Variations of a plant have horizons between these multiples of the plant's own.
HORIZON_RANGE = (0.4, 0.8)
_VARIATIONS = 64  # variations drawn for each plant


@dataclass(frozen=True)
class DemonstrationConfig:
    """What demonstrations are like.

    Attributes:
        kind: "expert", "varied" or "optimal", as described in this module.
        reasoning: see `llm_agent.data.reasoning.format_reasoning`.
        perturbation: the largest error in written controls (`llm_agent.data.rollout.draw_errors`).
        errors: whether the targets ignore or answer the errors; with written states they answer.
        exploration: how often random controls are written (`llm_agent.data.rollout.draw_exploration`); only with the
            reasonings "states" and "working".
        variations: share of the demonstrations with other plant parameters and horizons.

    Raises:
        ValueError: unknown kind.
    """

    kind: Kind = "varied"
    reasoning: Reasoning = "brief"
    perturbation: float = 0.0
    errors: Errors = "ignored"
    exploration: float = 0.0
    variations: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no kind of demonstration {self.kind!r}: choose from {', '.join(KINDS)}")


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Trajectories of a teacher.

    Attributes:
        trajectories: batch of shape (count,): the unperturbed ones where targets ignore errors, else those of the
            written controls.
        written: controls as written, errors included, (count, N, m).
        taught: the targets in their place, (count, N, m); equal to ``written`` without perturbation.
        K: the gains that each demonstration states, (count, m, n); None for optimal plans, which have none.
        dropped: number of initial states from which the teacher violates a bound.
        states: for written states, the states that controls are computed from, as written, (count, N, n).
    """

    trajectories: Trajectory
    written: Array
    taught: Array
    K: Array | None
    dropped: int
    states: Array | None = None

    @property
    def gains(self) -> list[Array | None]:
        """The gains that each demonstration states, (m, n), or None."""
        return [None] * len(self.written) if self.K is None else list(self.K)


def demonstrate(system: System, x0: Array, config: DemonstrationConfig, seed: int = 0) -> Demonstrations:
    """Simulates one demonstration from each initial state (count, n); infeasible ones are dropped.

    Args:
        seed: the seed of gains, errors and exploration.
    """
    teacher = _make_teacher(system, x0, config, seed)
    x0, dropped = x0[teacher.feasible], int((~teacher.feasible).sum())
    noise = draw_errors(system, len(x0), config.perturbation, derived_seed(seed, 1))
    if config.reasoning in WITH_STATES:
        explored = draw_exploration(system, len(x0), config.exploration, derived_seed(seed, 4))
        made = rollout(system, x0, teacher, noise, explored, STATE_DECIMALS)
        trajectories = simulate(system, x0, made.written)
        return Demonstrations(trajectories, made.written, made.taught, teacher.K, dropped, made.x)
    made = rollout(system, x0, teacher, noise if config.errors == "answered" else np.zeros_like(noise))
    trajectories, written = simulate(system, x0, made.written), made.written
    if config.errors == "ignored":
        written = np.round(system.saturate(made.written + np.moveaxis(noise, 0, 1)), DECIMALS)
    return Demonstrations(trajectories, written, made.taught, teacher.K, dropped)


def _make_teacher(system: System, x0: Array, config: DemonstrationConfig, seed: int) -> Teacher:
    if config.kind == "optimal":
        return OptimalTeacher(system, x0)
    gain_range = GAIN_RANGE if config.kind == "varied" else None
    return GainTeacher(system, x0, gain_range, rounded=config.reasoning in WITH_STATES, seed=seed)


# -- rows of text --------------------------------------------------------------------------------------------


def demonstration_rows(demonstrations: Demonstrations, reasoning: Reasoning = "brief") -> list[dict[str, Any]]:
    """One row for each demonstration: ``prompt, completion, taught, system, x0``.

    ``taught`` is the completion with the targets in place of the written controls.
    """
    made, x = demonstrations, demonstrations.trajectories.x
    if reasoning in WITH_STATES:
        assert made.states is not None, f'demonstrate with the reasoning "{reasoning}"'
        x = made.states
    elif reasoning == "waypoints" and made.K is not None:
        # Waypoints are the states predicted when the plan is written, so they contain no later errors.
        x = simulate_feedback(made.trajectories.system, x[:, 0], made.K, DECIMALS).x

    workings: Iterable[Working | None] = repeat(None)
    if reasoning == "working":
        workings = list(map(partial(work, made.trajectories.system), x, made.written))

    def completions(controls: Array) -> list[str]:
        """With these controls: in the reasoning's trajectory if there is one, otherwise in the plan."""
        plans = made.written if reasoning in WITH_STATES else controls
        reasons = map(format_reasoning, repeat(reasoning), made.gains, x, controls, workings)
        return list(map(format_completion, plans, reasons))

    written = completions(made.written)
    taught = written if np.array_equal(made.taught, made.written) else completions(made.taught)
    prompts = prompt_rows(made.trajectories.system, made.trajectories.x[:, 0])
    return [
        {**row, "completion": completion, "taught": target}
        for row, completion, target in zip(prompts, written, taught, strict=True)
    ]


def make_demonstrations(
    systems: list[str],
    count: int,
    config: DemonstrationConfig,
    split: Split = "train",
    seed: int = 0,
    progress: Callable[[int], Any] | None = None,
    processes: int = 1,
) -> tuple[Dataset, dict[str, Any]]:
    """``count`` demonstrations, divided evenly among the plants and shuffled, and the card that describes them.

    Args:
        systems: names of the plants.
        count: initial states to start from; infeasible demonstrations are dropped, so there may be fewer rows.
        config: what they are like.
        split: the split of initial states to draw from.
        seed: the seed of initial states, gains, errors, variations and order.
        progress: called with the number of initial states used since the last call.
        processes: processes to make them in, which changes nothing else. With several, the calling script needs the
            usual ``if __name__ == "__main__":`` (`multiprocessing`).

    Returns:
        The columns of `demonstration_rows`, and the card as JSON values.
    """
    from datasets import Dataset

    tasks = [
        _Task(system, batch_count, batch_seed, config, split)
        for name, plant_count in zip(systems, split_evenly(count, len(systems)), strict=True)
        for system, batch_count, batch_seed in _variants(get_system(name), plant_count, config.variations, seed)
    ]
    rows: list[dict[str, Any]] = []
    plants: dict[str, dict[str, Any]] = {}
    for task, batch in zip(tasks, _made(tasks, processes), strict=True):
        rows += batch.rows
        if task.system.name in plants:
            plants[task.system.name]["variations"] += len(batch.rows)
        else:  # a plant's own settings come first
            plants[task.system.name] = {**batch.description, "variations": 0}
        if progress:
            progress(task.count)
    card = {
        "kind": config.kind,
        "split": split,
        "seed": seed,
        "count": len(rows),
        "gain_range": GAIN_RANGE if config.kind == "varied" else None,
        "reasoning": config.reasoning,
        "perturbation": config.perturbation,
        "errors": config.errors,
        "exploration": config.exploration,
        "plants": plants,
        "versions": {name: version(name) for name in ("control-grpo", "numpy", "gymnasium", "scipy")},
    }
    return Dataset.from_list(rows).shuffle(seed=seed), card


@dataclass(frozen=True)
class _Task:
    """Demonstrations of one plant with one setting of its parameters."""

    system: System
    count: int
    seed: int
    config: DemonstrationConfig
    split: Split


class _Batch(NamedTuple):
    rows: list[dict[str, Any]]
    description: dict[str, Any]


def _make(task: _Task) -> _Batch:
    x0 = sample_states(task.system, task.count, task.split, task.seed)
    made = demonstrate(task.system, x0, task.config, derived_seed(SPLITS.index(task.split), task.seed))
    return _Batch(demonstration_rows(made, task.config.reasoning), _describe(made))


def _made(tasks: list[_Task], processes: int) -> Iterator[_Batch]:
    """The tasks' demonstrations, in order."""
    if processes == 1 or not _can_be_sent(tasks):
        yield from map(_make, tasks)
        return
    # Spawned, because a forked process inherits torch's locks but not its threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        largest_first = sorted(range(len(tasks)), key=lambda i: -tasks[i].count)
        futures = {i: pool.submit(_make, tasks[i]) for i in largest_first}
        for i in range(len(tasks)):
            yield futures.pop(i).result()


def _can_be_sent(tasks: list[_Task]) -> bool:
    """Whether other processes can have the tasks. A plant of a user's may be made of functions that pickle refuses."""
    try:
        pickle.dumps(tasks)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _variants(system: System, count: int, variations: float, seed: int) -> Iterator[tuple[System, int, int]]:
    """The plant itself and variations of it, each with its number of demonstrations and a seed."""
    varied = round(count * variations)
    yield system, count - varied, seed
    rng = np.random.default_rng(derived_seed(seed, 2))
    for i, variant_count in enumerate(split_evenly(varied, _VARIATIONS)):
        params = {name: round(rng.uniform(*limits), 1) for name, limits in system.param_ranges.items()}
        horizon = round(system.horizon * rng.uniform(*HORIZON_RANGE))
        if variant_count:
            yield system.replace(horizon=horizon, **params), variant_count, derived_seed(seed, 3, i)


def _describe(demonstrations: Demonstrations) -> dict[str, Any]:
    """One plant's part of the card."""
    metrics = measure(demonstrations.trajectories)
    return {
        "settings": demonstrations.trajectories.system.to_dict(),
        "count": len(demonstrations.written),
        "dropped": demonstrations.dropped,
        f"mean_reward_{DEFAULT_VERSION}": float(score(metrics, DEFAULT_VERSION).total.mean()),
        "mean_cost": float(metrics.cost.mean()),
        "success": float(metrics.success.mean()),
    }
