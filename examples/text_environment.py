"""One episode of a text environment: the prompt, a plan as the answer, its reward and the reward's terms.

python examples/text_environment.py
"""

import gymnasium as gym
import numpy as np

from control_envs import format_completion

env = gym.make("control_envs:DoubleIntegratorText-v0")
prompt, info = env.reset(seed=0)
print(prompt)

# A plan from this initial state: simulate state feedback and record its controls.
position, velocity = info["x0"]
plan = []
for _ in range(50):
    u = np.clip(-5.9 * position - 6.8 * velocity, -3, 3)
    position, velocity = position + 0.1 * velocity + 0.005 * u, velocity + 0.1 * u
    plan.append([u])

completion = format_completion(plan, reasoning="feedback k1=5.9 k2=6.8")
print("\n" + completion)

_, reward, terminated, truncated, info = env.step(completion)
print(f"\nreward {reward:.2f}, verdict {info['verdict']}, success {bool(info['metrics']['success'])}")
for name, value in info["reward_terms"].items():
    print(f"  {name:12s} {value:7.2f}")
