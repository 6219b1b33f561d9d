"""Training: SFT, GRPO, credit assignment, reward functions for TRL, early stops, and the pipeline of a run."""
