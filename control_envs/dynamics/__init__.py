"""Dynamics: simulation of plans by RK4 with zero-order hold, and the Riccati recursion of the linearised plant."""

from control_envs.dynamics.riccati import cost_matrix, finite_horizon_lqr, physical_problem
from control_envs.dynamics.trajectory import Trajectory, simulate

__all__ = ["Trajectory", "cost_matrix", "finite_horizon_lqr", "physical_problem", "simulate"]
