"""A random policy on every numeric environment, and on a thousand at once.

python examples/random_policy.py
"""

import gymnasium as gym

from control_envs import SYSTEMS, env_id

for name in SYSTEMS:
    env = gym.make(env_id(name))
    env.action_space.seed(0)
    env.reset(seed=0)
    total, terminated = 0.0, False
    while not terminated:
        _, reward, terminated, _, info = env.step(env.action_space.sample())
        total += reward
    print(f"{env_id(name):26s} return {total:7.2f}, violations {info['metrics']['state_violations']:.0f}")

envs = gym.make_vec("VanDerPol-v0", num_envs=1000, vectorization_mode="vector_entry_point")
envs.action_space.seed(0)
envs.reset(seed=0)
returns = sum(envs.step(envs.action_space.sample())[1] for _ in range(50))
print(f"a thousand Van der Pol trajectories at once: mean return {returns.mean():.2f}")
