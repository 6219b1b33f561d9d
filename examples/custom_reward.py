"""GRPO with a reward of your own and TRL's trainer; the reward can be any function of a completion's trajectory.

python examples/custom_reward.py
"""

import numpy as np
from trl import GRPOConfig, GRPOTrainer

from control_envs import get_system, parse_completion, simulate
from llm_agent.data.demonstrations import make_prompts
from llm_agent.models.loading import load_model

SYSTEM = get_system("double_integrator")


def overshoot(prompts, completions, x0, **kwargs):
    """Minus the largest overshoot past the origin; -1 for a completion that does not parse."""
    rewards = []
    for text, start in zip(completions, x0, strict=True):
        plan = parse_completion(text, SYSTEM.horizon).controls
        if plan is None:
            rewards.append(-1.0)
            continue
        position = simulate(SYSTEM, start, plan).x[:, 0]
        rewards.append(-float(np.max(-np.sign(start[0]) * position)))
    return rewards


model, tokenizer = load_model("tiny-double-integrator")
trainer = GRPOTrainer(
    model=model,
    processing_class=tokenizer,
    reward_funcs=overshoot,
    train_dataset=make_prompts([SYSTEM.name], 8),
    args=GRPOConfig(
        output_dir="runs/custom-reward",
        max_steps=3,
        per_device_train_batch_size=16,
        num_generations=8,
        max_completion_length=60,
        learning_rate=1e-5,
        logging_steps=1,
        bf16=False,
        report_to="none",
        save_strategy="no",
    ),
)
trainer.train()
for row in trainer.state.log_history[:-1]:
    print(f"step {row['step']}: mean reward {row['reward']:.4f}")
