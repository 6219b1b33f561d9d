"""Scores the same trajectories with each reward version, term by term.

python examples/compare_rewards.py
"""

import numpy as np

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import REWARDS, get_system, measure, score, simulate

system, x0 = get_system("double_integrator"), np.array([0.7, 0.3])
trajectories = {
    "LQR": simulate_feedback(system, x0, lqr(system)[0]),
    "half of LQR's gains": simulate_feedback(system, x0, 0.5 * lqr(system)[0]),
    "no control": simulate(system, x0, np.zeros((50, 1))),
    "maximum control": simulate(system, x0, np.full((50, 1), 3.0)),
}
for name, trajectory in trajectories.items():
    metrics = measure(trajectory)
    print(f"\n{name}: J {metrics.cost:.1f}, final error {metrics.final_error:.3f}, violations {metrics.violations:.0f}")
    for version in REWARDS:
        result = score(trajectory, version)
        terms = ", ".join(f"{term} {float(value):.1f}" for term, value in result.terms.items())
        print(f"  {version}: {float(result.total):9.1f}  = {terms}")
