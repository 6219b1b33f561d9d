"""The optimum: the least cost J* and the best reward from an initial state, cached on disk."""

from baselines.optimum.best_reward import best_rewards
from baselines.optimum.plan import OptimalPlan
from baselines.optimum.solver import Optimum, solve, solve_all

__all__ = ["OptimalPlan", "Optimum", "best_rewards", "solve", "solve_all"]
