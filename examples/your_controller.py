"""A state feedback of your own on every plant with one control, scored with every reward version.

python examples/your_controller.py
"""

import gymnasium as gym

from control_envs import REWARDS, SYSTEMS, env_id, score


def controller(x):
    """State feedback u = -4 x1 - 4 x2."""
    return -4.0 * x[:1] - 4.0 * x[1:2]


for system in (name for name, plant in SYSTEMS.items() if plant.m == 1):
    env = gym.make(env_id(system), action_units="physical")
    x, _ = env.reset(seed=1)
    terminated = False
    while not terminated:
        x, reward, terminated, truncated, info = env.step(controller(x))
    rewards = ", ".join(f"{v}: {float(score(info['trajectory'], v).total):.1f}" for v in REWARDS)
    print(f"{system}: cost {info['metrics']['cost']:.2f}, final error {info['metrics']['final_error']:.4f}, {rewards}")
