"""Environments: the plants as Gymnasium environments, numeric and text, one at a time or as a batch."""

from control_envs.envs.base import TrajectoryEnv, checked_x0, parse_state
from control_envs.envs.numeric import ControlEnv
from control_envs.envs.registration import env_id, register_all, register_system
from control_envs.envs.text import TextControlEnv
from control_envs.envs.vector import BatchedControlEnv
from control_envs.envs.wrappers import StageCostReward

__all__ = [
    "BatchedControlEnv",
    "ControlEnv",
    "StageCostReward",
    "TextControlEnv",
    "TrajectoryEnv",
    "checked_x0",
    "env_id",
    "parse_state",
    "register_all",
    "register_system",
]
