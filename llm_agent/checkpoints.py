"""Lists the models that come with the package: `LLMPolicy.from_pretrained("tiny-double-integrator")`.

python -m llm_agent.checkpoints                        # list them
python -m llm_agent.checkpoints --ship RUN tiny-base   # add a run's model, in half precision, with its provenance
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from llm_agent.models.shipped import PROVENANCE, SHIPPED, shipped
from llm_agent.models.shipping import ship
from llm_agent.storage.run_folder import RunFolder


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.checkpoints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ship", nargs=2, metavar=("RUN", "NAME"), help="add a run's model to the package as NAME")
    args = parser.parse_args(argv)
    try:
        if args.ship:
            print(ship(RunFolder.open(args.ship[0]), args.ship[1]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name in shipped():
        record = json.loads((SHIPPED / name / PROVENANCE).read_text())
        megabytes = sum(f.stat().st_size for f in (SHIPPED / name).iterdir()) / 1e6
        print(f"{name:28} {megabytes:.1f} MB  {record['command']}  ({record['commit']})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
