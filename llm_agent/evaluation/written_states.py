"""How exactly completions compute the trajectory that their reasoning writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from control_envs import System
from llm_agent.data.component_sum import STATE_DECIMALS
from llm_agent.data.trajectory_text import parse_trajectory

__all__ = ["step_errors"]

_EXACT = 0.5 * 10.0**-STATE_DECIMALS + 1e-9  # rounding of a written state
_PERCENTILES = (50, 90, 99)


def step_errors(system: System, completions: Sequence[str]) -> dict[str, Any] | None:
    """The errors of written states: each against the plant's step from the state and controls written before it.

    Returns:
        None if no completion writes a trajectory; else ``count`` of those that do, and for each component of the state
        (lists of n): ``exact``, the share of steps without error, and ``percentiles`` 50, 90 and 99 of the absolute
        error, in the component's unit.
    """
    parsed = [parse_trajectory(completion, system) for completion in completions]
    written = [trajectory for trajectory in parsed if trajectory is not None and len(trajectory[0]) > 1]
    if not written:
        return None
    errors = np.concatenate([np.abs(x[1:] - system.step(x[:-1], u[:-1])) for x, u in written])
    return {
        "count": len(written),
        "exact": np.mean(errors < _EXACT, axis=0).tolist(),
        "percentiles": {str(p): np.percentile(errors, p, axis=0).tolist() for p in _PERCENTILES},
    }
