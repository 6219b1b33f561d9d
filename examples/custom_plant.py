"""Defines a plant of your own; prompts, LQR, the optimum and scores need no further code.

    python examples/custom_plant.py

In an installed package, an entry point also registers the plant for every command (control_envs/envs/registration.py):
`python -m baselines.compare --system tank`, `python -m llm_agent.train_grpo --system tank`.
"""

import gymnasium as gym

from baselines.controllers.lqr import lqr, simulate_feedback
from baselines.optimum.solver import solve
from control_envs import System, format_completion, register_system


def vector_field(x, u, xp=None, leak=0.3):
    """Two tanks in series, levels relative to set points: a pump fills the first, which drains into the second."""
    return u[0] - leak * x[0], leak * (x[0] - x[1])


register_system(
    System(
        name="tank",
        title="two tanks in a row",
        equation="x1' = u - leak x1, x2' = leak (x1 - x2)",
        state_names=("upper", "lower"),
        control_names=("u",),
        state_units=("m", "m"),
        vector_field=vector_field,
        x_bounds=1.0,
        u_bounds=1.0,
        x0_bounds=0.5,
        dt=0.2,
        params={"leak": 0.3},
    )
)

env = gym.make("TankText-v0")
prompt, info = env.reset(seed=0)
print(prompt)
plant = env.unwrapped.system
plan = simulate_feedback(plant, info["x0"], lqr(plant)[0], decimals=2).u
_, reward, _, _, info = env.step(format_completion(plan, "LQR's own plan"))
ratio = info["metrics"]["cost"] / solve(plant, info["x0"]).cost
print(f"reward {reward:.1f}, J/J* {ratio:.3f}, success {bool(info['metrics']['success'])}")
