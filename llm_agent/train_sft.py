"""Trains a language model on demonstrations (SFT), then evaluates it beside LQR.

    python -m llm_agent.train_sft --demonstrations expert
    python -m llm_agent.train_sft --system van_der_pol --max_steps 2000 --seed 1

Every option of TRL's SFTConfig is a flag (--help-all); --config takes them from a YAML file.
"""

import sys

from llm_agent.cli import train

if __name__ == "__main__":
    sys.exit(train("sft", __doc__))
