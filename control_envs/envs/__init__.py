"""Environments: the plants as Gymnasium environments, numeric and text, one at a time or as a batch."""

from control_envs.envs.base import checked_x0
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
    "checked_x0",
    "env_id",
    "register_all",
    "register_system",
]
