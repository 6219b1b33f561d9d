"""Runs a study: trainings that differ in one setting, over seeds, and a table that compares them.

    python -m llm_agent.study recipe --seeds 5
    python -m llm_agent.study rewards --system double_integrator --start runs/latest/sft --seeds 3 --jobs 2
    python -m llm_agent.study rewards --table        # the table of the finished runs, without training

Each training is an ordinary run in its own folder, runs/studies/NAME/VARIANT/seedK, and can be killed and resumed.
Finished runs are not repeated: with more --seeds, only the new ones are trained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from control_envs.utils.commands import Parser, at_least, guarded
from llm_agent.models.shipped import BASE
from llm_agent.studies.definitions import STUDIES
from llm_agent.studies.runner import run_study


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    names = "\n".join(f"  {name:12} {study.question}" for name, study in STUDIES.items())
    parser = Parser(
        prog="python -m llm_agent.study",
        description=f"{__doc__}\nstudies:\n{names}",
    )
    parser.add_argument("study", choices=STUDIES, metavar="study", help="one of the studies above")
    parser.add_argument("--system", default="double_integrator,van_der_pol", help="plants, comma-separated, or all")
    parser.add_argument("--start", default=BASE, help=f"the model that runs start from (default {BASE})")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="seeds of each variant (default 3)")
    parser.add_argument(
        "--steps", type=at_least(1), default=None, help="training steps of a run (default: the preset's)"
    )
    parser.add_argument(
        "--jobs",
        type=at_least(1),
        default=1,
        help="runs in parallel (default 1), which share the cores unless OMP_NUM_THREADS is set",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only variants whose name contains TEXT")
    parser.add_argument("--output-dir", type=Path, default=None, help="default runs/studies/STUDY")
    parser.add_argument("--table", action="store_true", help="print the table of finished runs, without training")
    args, extra = parser.parse_known_args(argv)
    return guarded(lambda: run_study(args, extra), "stopped: run the same command to continue the study", extra="llm")


if __name__ == "__main__":
    sys.exit(main())
