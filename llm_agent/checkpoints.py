"""Lists the models that come with the package: `LLMPolicy.from_pretrained("tiny-double-integrator")`.

python -m llm_agent.checkpoints                        # list them
python -m llm_agent.checkpoints --ship RUN tiny-base   # add a run's model, in half precision, with its provenance
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from control_envs.utils.commands import Parser, guarded
from llm_agent.models.shipped import PROVENANCE, SHIPPED, shipped
from llm_agent.models.shipping import ship
from llm_agent.storage.run_folder import RunFolder


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = Parser(prog="python -m llm_agent.checkpoints", description=__doc__)
    parser.add_argument("--ship", nargs=2, metavar=("RUN", "NAME"), help="add a run's model to the package as NAME")
    args = parser.parse_args(argv)

    def work() -> None:
        if args.ship:
            print(ship(RunFolder.open(args.ship[0]), args.ship[1]))
        for name in shipped():
            record = json.loads((SHIPPED / name / PROVENANCE).read_text())
            megabytes = sum(f.stat().st_size for f in (SHIPPED / name).iterdir()) / 1e6
            print(f"{name:28} {megabytes:.1f} MB  {record['command']}  ({record['commit']})")

    return guarded(work, extra="llm")


if __name__ == "__main__":
    sys.exit(main())
