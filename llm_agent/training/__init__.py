"""Training: SFT, GRPO, credit, rewards for TRL, guards, and a run from end to end."""
