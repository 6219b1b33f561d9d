"""The feedback gains that completions state, and what controls computed exactly from them would earn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from baselines.controllers.lqr import simulate_feedback
from baselines.evaluation.results import Result
from control_envs import measure, score, simulate
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.reasoning import parse_gains


def completions_of(result: Result) -> Sequence[str]:
    """A language model's answers to the initial states' prompts; none of any other policy."""
    return getattr(result.controller, "completions", ())


def stated_gains(result: Result) -> dict[str, Any] | None:
    """The gains that completions state, if they do, and what they would earn if controls followed from them exactly.

    Between ``written`` and ``exact`` lies the arithmetic, between ``exact`` and the optimum the decision. ``rounded``
    is the law's plan rounded at the end, each control by up to half a hundredth that no later control answers: what
    exact arithmetic earns without an eye on its own rounding.
    """
    system = result.trajectories.system
    laws = [parse_gains(completion, system.n, system.m) for completion in completions_of(result)]
    stated = [i for i, K in enumerate(laws) if K is not None]
    if not stated:
        return None
    gains = np.array([laws[i] for i in stated])
    x0 = result.trajectories.x[stated, 0]
    exact = simulate_feedback(system, x0, gains, DECIMALS)
    rounded = simulate(system, x0, np.round(simulate_feedback(system, x0, gains).u, DECIMALS))
    return {
        "count": len(stated),
        "mean": gains.mean(0).tolist(),
        "std": gains.std(0).tolist(),
        "written": _earned(result.values["reward_1.3"][stated], result.values["success"][stated]),
        "rounded": _earned(score(rounded, "1.3").total, measure(rounded).success),
        "exact": _earned(score(exact, "1.3").total, measure(exact).success),
    }


def _earned(reward: Array, success: np.ndarray) -> dict[str, float]:
    return {"reward_1.3": float(np.mean(reward)), "success": float(np.mean(success))}
