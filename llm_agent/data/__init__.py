"""Data: demonstrations, prompts, and what a completion's reasoning says."""
