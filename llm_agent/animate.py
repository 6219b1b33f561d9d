"""One episode as an animated GIF: language models, LQR and MPC side by side from the same state.

python -m llm_agent.animate                                         # the model that comes with the package
python -m llm_agent.animate runs/latest --x0 0.4,-0.2 --into trajectory.gif
python -m llm_agent.animate tiny-van-der-pol --policies mpc         # any run, model folder or hub id
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from baselines.controllers.classical import MPCPolicy, lqr_policy
from baselines.controllers.policy import Policy
from baselines.evaluation.results import Result, evaluate
from baselines.figures.animation import check_name, frames, write_gif
from baselines.optimum.solver import solve
from control_envs import System, get_system
from control_envs.envs import parse_state
from control_envs.text import DECIMALS
from control_envs.utils.commands import guarded, join_negative
from control_envs.utils.types import Array
from llm_agent.models.shipped import PROVENANCE, SHIPPED
from llm_agent.storage.run_folder import RunFolder, is_run

DEFAULT = "tiny-double-integrator"
CLASSICAL: dict[str, Callable[[System], Policy]] = {"lqr": lqr_policy, "mpc": MPCPolicy}


def plant_of(model: str) -> str:
    """The plant that a run or a model that comes with the package was trained on first; else the double integrator."""
    if is_run(model):
        return RunFolder.open(model).settings["systems"][0]
    record = SHIPPED / model / PROVENANCE
    return json.loads(record.read_text())["settings"]["systems"][0] if record.is_file() else "double_integrator"


def initial_state(system: System, text: str | None) -> Array:
    """The state that ``--x0`` names, (n,), or one well away from the origin.

    Raises:
        ValueError: it is not n numbers inside the plant's box.
    """
    if text is None:
        share = np.where(np.arange(system.n) % 2, -0.4, 0.7)
        return np.round(share * system.x0_bounds[:, 1], DECIMALS) + 0.0
    return parse_state(system, text, "--x0")


def classical(names: str, system: System) -> list[Policy]:
    """The classical policies named, with commas between.

    Raises:
        ValueError: there is no such policy.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in CLASSICAL]:
        raise ValueError(f"--policies: there is no policy {unknown[0]!r}: choose from {', '.join(CLASSICAL)}")
    return [CLASSICAL[name](system) for name in wanted]


def text_models(models: Sequence[str], system: System, sampled: bool, seed: int) -> list[Policy]:
    """Each model of each run as a policy, by its name without the run's where there is only one run."""
    from llm_agent.evaluation.models import load_policies
    from llm_agent.policies.text_policies import text_policies

    loaded = {name: model for given in models for name, model in load_policies(given).items()}
    if len(models) == 1:
        loaded = {name.rpartition(" ")[2]: model for name, model in loaded.items()}
    return text_policies(system, loaded, ["sampled" if sampled else "greedy"], seed)


def outcome(result: Result) -> str:
    """What came of a trajectory, in a few words."""
    if not result.valid[0]:
        return f"no plan: {next(iter(result.verdicts))}"
    ratio, broke = result.values["cost_ratio"][0], result.values["violated"][0] > 0
    cost = f"J/J* = {ratio:.3f}" if np.isfinite(ratio) else f"J = {result.values['cost'][0]:.2f}"
    return cost + (", broke bounds" if broke else "")


def animate(policies: Sequence[Policy], system: System, x0: Array, path: Path) -> None:
    """Flies each policy from x0 (n,) and writes the animation."""
    reference = np.array([solve(system, x0).cost])
    results = [evaluate(policy, system, x0[None], reference) for policy in policies]
    trajectories = {r.name: r.trajectories[0] for r in results}
    write_gif(path, list(frames(trajectories, {r.name: outcome(r) for r in results})), system)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.animate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=[DEFAULT], help=f"runs, model folders or hub ids ({DEFAULT})")
    parser.add_argument("--x0", metavar="NUMBERS", help="the initial state, such as 0.4,-0.2")
    parser.add_argument("--into", type=Path, default=Path("trajectory.gif"), metavar="FILE", help="(%(default)s)")
    parser.add_argument("--system", help="the plant (the one that the first model was trained on)")
    parser.add_argument("--policies", default="lqr,mpc", help="classical policies beside it (%(default)s)")
    parser.add_argument("--sampled", action="store_true", help="sampled answers instead of greedy ones")
    parser.add_argument("--seed", type=int, default=0, help="of sampled answers (%(default)s)")
    args = parser.parse_args(join_negative("--x0", argv))

    def work() -> None:
        check_name(args.into)
        system = get_system(args.system or plant_of(args.models[0]))
        x0 = initial_state(system, args.x0)
        policies = [*text_models(args.models, system, args.sampled, args.seed), *classical(args.policies, system)]
        animate(policies, system, x0, args.into)
        print(f"animation: {args.into}")

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
