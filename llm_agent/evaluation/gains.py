"""The feedback gains that completions state, and the reward of controls computed exactly from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from baselines.controllers.lqr import simulate_feedback
from baselines.evaluation.results import Result
from control_envs import measure, score, simulate
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.data.reasoning import parse_gains

__all__ = ["stated_gains"]


def stated_gains(result: Result) -> dict[str, Any] | None:
    """Statistics of the gains that completions state, and rewards with and without errors in computing the controls.

    The difference between ``written`` and ``exact`` is due to the model's arithmetic; the difference between ``exact``
    and the optimum is due to the choice of gains.

    Returns:
        None if no completion states its gains; else ``count``, ``mean`` and ``std`` of the gains (m, n), and mean
        reward and success of three plans: ``written`` by the model; ``exact``, where each control is rounded to two
        decimals before the next is computed; ``rounded``, where the plan is computed in full precision and rounded
        afterwards, so that no control corrects for the rounding of earlier ones.
    """
    system = result.trajectories.system
    parsed = [parse_gains(completion, system.n, system.m) for completion in result.completions]
    stated = [i for i, K in enumerate(parsed) if K is not None]
    if not stated:
        return None
    gains = np.array([parsed[i] for i in stated])
    x0 = result.trajectories.x[stated, 0]
    exact = simulate_feedback(system, x0, gains, DECIMALS)
    rounded = simulate(system, x0, np.round(simulate_feedback(system, x0, gains).u, DECIMALS))
    return {
        "count": len(stated),
        "mean": gains.mean(0).tolist(),
        "std": gains.std(0).tolist(),
        "written": _means(result.values["reward_1.3"][stated], result.values["success"][stated]),
        "rounded": _means(score(rounded, "1.3").total, measure(rounded).success),
        "exact": _means(score(exact, "1.3").total, measure(exact).success),
    }


def _means(reward: Array, success: np.ndarray) -> dict[str, float]:
    return {"reward_1.3": float(np.mean(reward)), "success": float(np.mean(success))}
