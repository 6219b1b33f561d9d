"""Trains a language model on demonstrations (SFT), then evaluates it beside LQR.

    python -m llm_agent.train_sft --demonstrations expert
    python -m llm_agent.train_sft --system van_der_pol --max_steps 2000 --seed 1

Every option of TRL's SFTConfig is also a flag (--help-all); --config FILE reads flags from YAML.
"""

import sys
from collections.abc import Sequence

from llm_agent.reporting.finish import finish_run
from llm_agent.training.cli import train


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return train("sft", __doc__, finish_run, argv)


if __name__ == "__main__":
    sys.exit(main())
