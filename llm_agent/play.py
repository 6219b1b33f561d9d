"""Try a model: choose a state, watch it write the plan, and see the trajectory against LQR and MPC.

    python -m llm_agent.play                                       # a page in the browser, for this machine alone
    python -m llm_agent.play runs/latest --system van_der_pol
    python -m llm_agent.play endpoint:MODEL --base-url http://127.0.0.1:8000/v1
    python -m llm_agent.play --terminal --x0 0.5,-0.3 --sampled --seed 3

Without the `play` extra, or with --terminal, it plays in the terminal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from control_envs import System
from control_envs.envs import parse_state
from control_envs.systems import one_system
from control_envs.systems.settings import add_settings_flag
from control_envs.utils.commands import Parser, at_least, guarded, join_negative
from control_envs.utils.optional import need
from llm_agent.endpoints.flags import add_endpoint_flags, endpoint_of, is_endpoint, refuse_unused

if TYPE_CHECKING:
    from llm_agent.playground.session import Session

PORT = 8000


def run(args: argparse.Namespace) -> None:
    """Plays as the flags say.

    Raises:
        ValueError: a flag is invalid, the model cannot be loaded, or the port is taken.
    """
    system = one_system(args.system, args.set)
    served = is_endpoint(args.model or "")
    refuse_unused(args, [args.model or ""])
    for module in ("openai", "scipy", "casadi") if served else ("torch", "transformers", "scipy", "casadi"):
        need(module, "endpoint" if served else "llm")
    from llm_agent.playground.session import Session
    from llm_agent.playground.terminal import play

    x0 = None if args.x0 is None else parse_state(system, args.x0, "--x0")
    session = Session(args.model, partial(endpoint_of, args=args)) if served else Session(args.model)
    if _in_terminal(args):
        _load(session, system)
        play(session, system, x0, not args.sampled, args.seed)
        return
    from llm_agent.playground.server import listen, serve

    with listen(args.port) as sock:
        _load(session, system)  # whatever is wrong with the model is said before the page opens
        serve(session, system.name, sock, not args.no_open)


def _load(session: Session, system: System) -> None:
    if not is_endpoint(session.model_name(system)):
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
    session.policy(system)


def _in_terminal(args: argparse.Namespace) -> bool:
    if args.terminal or args.x0 is not None:
        return True
    try:
        for module in ("starlette", "uvicorn"):
            need(module, "play")
    except ImportError as error:
        print(f"in the terminal: {error}", file=sys.stderr)
        return True
    return False


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text}")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.play", description=__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        help="a shipped model, run folder, model folder, hub id or endpoint:MODEL (the plant's shipped model)",
    )
    parser.add_argument("--system", default="double_integrator", metavar="PLANT", help="to begin with (%(default)s)")
    add_settings_flag(parser)
    parser.add_argument("--port", type=_port, default=PORT, help="of the page; 0 for any free one (%(default)s)")
    parser.add_argument("--no-open", action="store_true", help="print the page's address and open no browser")
    parser.add_argument("--terminal", action="store_true", help="play here instead of on a page")
    parser.add_argument(
        "--x0", metavar="STATE", help="in the terminal: one trajectory, from this state, such as 0.5,-0.3"
    )
    parser.add_argument("--sampled", action="store_true", help="in the terminal: draw the answer (the most likely)")
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="in the terminal: of the draw and of the first state"
    )
    parser.add_argument(
        "--max-new-tokens", type=at_least(1), default=None, metavar="N", help="of a served model's answer"
    )
    add_endpoint_flags(parser)
    return guarded(lambda: run(parser.parse_args(join_negative("--x0", argv))), extra="llm")


if __name__ == "__main__":
    sys.exit(main())
