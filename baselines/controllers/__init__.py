"""Controllers: LQR, MPC, PPO and text policies, all with the same interface."""

from baselines.controllers.classical import CLASSICAL, MPCPolicy, finite_horizon_lqr_policy, lqr_policy
from baselines.controllers.mpc import MPC
from baselines.controllers.policy import Controller, Feedback, OpenLoopController, Policy
from baselines.controllers.text import RecedingTextPolicy, TextPolicy

__all__ = [
    "CLASSICAL",
    "MPC",
    "Controller",
    "Feedback",
    "MPCPolicy",
    "OpenLoopController",
    "Policy",
    "RecedingTextPolicy",
    "TextPolicy",
    "finite_horizon_lqr_policy",
    "lqr_policy",
]
