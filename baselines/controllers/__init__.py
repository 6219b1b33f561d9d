"""Controllers: LQR, MPC, PPO and text, all as policies that can be rolled out."""

from baselines.controllers.classical import MPCPolicy, finite_horizon_lqr_policy, lqr_policy
from baselines.controllers.mpc import MPC
from baselines.controllers.policy import Controller, Feedback, Policy
from baselines.controllers.text import RecedingTextPolicy, TextPolicy

__all__ = [
    "MPC",
    "Controller",
    "Feedback",
    "MPCPolicy",
    "Policy",
    "RecedingTextPolicy",
    "TextPolicy",
    "finite_horizon_lqr_policy",
    "lqr_policy",
]
