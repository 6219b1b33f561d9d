"""One episode under several policies, as an animated GIF."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.controllers.classical import CLASSICAL
from baselines.controllers.policy import Policy
from baselines.evaluation.results import Result, evaluate
from baselines.figures.animation import frames, write_gif
from baselines.optimum.solver import solve
from control_envs import System
from control_envs.envs import parse_state
from control_envs.text import DECIMALS
from control_envs.utils.types import Array
from llm_agent.models.shipped import PROVENANCE, SHIPPED
from llm_agent.storage.run_folder import RunFolder, is_run

__all__ = ["animate", "classical_policies", "initial_state", "plant_of", "text_models"]


def plant_of(model: str) -> str:
    """The first plant that a run or a shipped model was trained on; the double integrator for any other model."""
    if is_run(model):
        return RunFolder.open(model).settings["systems"][0]
    record = SHIPPED / model / PROVENANCE
    return json.loads(record.read_text())["settings"]["systems"][0] if record.is_file() else "double_integrator"


def initial_state(system: System, text: str | None) -> Array:
    """The initial state (n,) that ``--x0`` gives, or by default one well away from the origin.

    Raises:
        ValueError: ``text`` is not n numbers within the state bounds.
    """
    if text is None:
        share = np.where(np.arange(system.n) % 2, -0.4, 0.7)
        return np.round(share * system.x0_bounds[:, 1], DECIMALS) + 0.0
    return parse_state(system, text, "--x0")


def classical_policies(names: str, system: System) -> list[Policy]:
    """The classical policies of these names, separated by commas.

    Raises:
        ValueError: there is no such policy.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in CLASSICAL]:
        raise ValueError(f"--policies: there is no policy {unknown[0]!r}: choose from {', '.join(CLASSICAL)}")
    return [CLASSICAL[name](system) for name in wanted]


def text_models(models: Sequence[str], system: System, sampled: bool, seed: int) -> list[Policy]:
    """Each model of each run as a policy; the run's name is left out if there is only one."""
    from llm_agent.evaluation.models import load_policies
    from llm_agent.policies.text_policies import text_policies

    loaded = {name: model for given in models for name, model in load_policies(given).items()}
    if len(models) == 1:
        loaded = {name.rpartition(" ")[2]: model for name, model in loaded.items()}
    return text_policies(system, loaded, ["sampled" if sampled else "greedy"], seed)


def caption(result: Result) -> str:
    """A trajectory's cost and violations in a few words."""
    if not result.valid[0]:
        return f"no plan: {next(iter(result.verdicts))}"
    ratio, violates = result.values["cost_ratio"][0], result.values["violated"][0] > 0
    cost = f"J/J* = {ratio:.3f}" if np.isfinite(ratio) else f"J = {result.values['cost'][0]:.2f}"
    return cost + (", violates bounds" if violates else "")


def animate(policies: Sequence[Policy], system: System, x0: Array, path: Path) -> None:
    """Rolls each policy out from x0 (n,) and writes the animation."""
    reference = np.array([solve(system, x0).cost])
    results = [evaluate(policy, system, x0[None], reference) for policy in policies]
    trajectories = {r.name: r.trajectories[0] for r in results}
    write_gif(path, list(frames(trajectories, {r.name: caption(r) for r in results})), system)
