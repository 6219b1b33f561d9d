"""Evaluation: rollouts of any policy from the same initial states, metrics with intervals, comparisons."""

from baselines.evaluation.comparison import Comparison, ComparisonResult, compare
from baselines.evaluation.results import Result, evaluate, paired_difference
from baselines.evaluation.rollout import NOMINAL, Rollout, Scenario, rollout

__all__ = [
    "NOMINAL",
    "Comparison",
    "ComparisonResult",
    "Result",
    "Rollout",
    "Scenario",
    "compare",
    "evaluate",
    "paired_difference",
    "rollout",
]
