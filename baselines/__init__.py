"""Classical controllers for the plants, and the evaluation of any policy."""

from control_envs.utils.moved import keep_old_modules

keep_old_modules(
    {
        "baselines.best_reward": "baselines.optimum.best_reward",
        "baselines.flying": "baselines.evaluation.rollout",
        "baselines.lqr": "baselines.controllers.lqr",
        "baselines.mpc": "baselines.controllers.mpc",
        "baselines.policies": "baselines.controllers",
        "baselines.ppo_policy": "baselines.controllers.ppo_policy",
        "baselines.tables": "baselines.evaluation.tables",
    },
    {"Flown": "Rollout", "fly": "rollout", "fly_feedback": "simulate_feedback"},
)
