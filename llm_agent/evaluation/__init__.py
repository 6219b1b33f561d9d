"""Evaluation: language models on held-out initial states beside LQR and the optimum."""
