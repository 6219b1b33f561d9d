"""Evaluation: language models compared with LQR and the optimum on held-out initial states."""
