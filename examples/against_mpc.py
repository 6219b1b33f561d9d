"""Compares a state feedback of your own with LQR, MPC and the optimum, from 50 held-out initial states.

python examples/against_mpc.py
"""

from baselines.controllers.classical import MPCPolicy, lqr_policy
from baselines.controllers.policy import Feedback
from baselines.evaluation.comparison import Comparison, compare, to_markdown
from control_envs import get_system

system = get_system("double_integrator_hard")


def cautious(x, k):
    """Maps states (S, 2) to controls (S, 1), slowly enough to keep the speed limit."""
    return system.saturate(-2.0 * x[:, :1] - 3.0 * x[:, 1:])


policies = [lqr_policy(system), MPCPolicy(system), Feedback("cautious", cautious)]
comparison = compare(Comparison(system, policies, states=50, progress=False))
print(to_markdown(comparison.report, brief=True))
