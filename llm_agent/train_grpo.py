"""Trains a language model: demonstrations, SFT, GRPO, evaluation on held-out initial states, report.

    python -m llm_agent.train_grpo
    python -m llm_agent.train_grpo --system van_der_pol --reward-version 1.3 --seed 1
    python -m llm_agent.train_grpo --sft-from runs/latest --learning_rate 2e-4
    python -m llm_agent.train_grpo --resume

Every option of TRL's GRPOConfig is also a flag (--help-all); --config FILE reads flags from YAML.
"""

import sys
from collections.abc import Sequence

from llm_agent.reporting.finish import finish_run
from llm_agent.training.cli import train


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return train("grpo", __doc__, finish_run, argv)


if __name__ == "__main__":
    sys.exit(main())
