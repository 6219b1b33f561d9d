"""Tuning: hyperparameter search with Optuna."""
