"""One episode as an animated GIF: language models, LQR and MPC side by side from the same state.

python -m llm_agent.animate                                         # the model that comes with the package
python -m llm_agent.animate runs/latest --x0 0.4,-0.2 --into trajectory.gif
python -m llm_agent.animate tiny-van-der-pol --policies mpc         # any run, model folder or hub id
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.figures.animation import check_name
from control_envs.systems import one_system
from control_envs.utils.commands import Parser, at_least, guarded, join_negative
from control_envs.utils.files import check_output_file
from llm_agent.evaluation.models import check_named_once
from llm_agent.reporting.animation import animate, classical_policies, initial_state, plant_of, text_models
from llm_agent.training.quiet import silence_known_warnings

DEFAULT = "tiny-double-integrator"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.animate", description=__doc__)
    parser.add_argument("models", nargs="*", default=[DEFAULT], help=f"runs, model folders or hub ids ({DEFAULT})")
    parser.add_argument("--x0", metavar="NUMBERS", help="the initial state, such as 0.4,-0.2")
    parser.add_argument("--into", type=Path, default=Path("trajectory.gif"), metavar="FILE", help="(%(default)s)")
    parser.add_argument("--system", help="the plant (the one that the first model was trained on)")
    parser.add_argument("--policies", default="lqr,mpc", help="classical policies beside it (%(default)s)")
    parser.add_argument("--sampled", action="store_true", help="sampled answers instead of greedy ones")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of sampled answers (%(default)s)")
    args = parser.parse_args(join_negative("--x0", argv))

    def work() -> None:
        check_name(check_output_file(args.into, "--into"))
        check_named_once(args.models)
        silence_known_warnings()
        system = one_system(args.system or plant_of(args.models[0]))
        x0 = initial_state(system, args.x0)
        policies = [
            *text_models(args.models, system, args.sampled, args.seed),
            *classical_policies(args.policies, system),
        ]
        animate(policies, system, x0, args.into)
        print(f"animation: {args.into}")

    return guarded(work, extra="llm")


if __name__ == "__main__":
    sys.exit(main())
