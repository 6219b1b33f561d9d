"""Rewards: metrics of a trajectory, and its score under each reward version."""

from control_envs.rewards.metrics import SUCCESS_DISTANCE, TOLERANCE, Metrics, measure
from control_envs.rewards.versions import (
    DEFAULT_VERSION,
    REWARDS,
    FormatReward,
    RewardSpec,
    Score,
    get_reward,
    score,
)

__all__ = [
    "DEFAULT_VERSION",
    "REWARDS",
    "SUCCESS_DISTANCE",
    "TOLERANCE",
    "FormatReward",
    "Metrics",
    "RewardSpec",
    "Score",
    "get_reward",
    "measure",
    "score",
]
