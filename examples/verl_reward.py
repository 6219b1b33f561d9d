"""Rows and the reward for veRL (pip install verl), as its own loaders take them; no GPU is needed for this.

python examples/verl_reward.py    # writes rows, reads one, and scores zero control by the function that veRL loads

A training then begins with these settings (the rest is veRL's):

    python -m verl.trainer.main_ppo data.train_files=data/verl/train.parquet \\
        data.val_files=data/verl/validation.parquet \\
        reward.custom_reward_function.path=pkg://llm_agent.integrations.verl \\
        reward.custom_reward_function.name=compute_score \\
        +reward.custom_reward_function.reward_kwargs.scaled=true
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import load_dataset
from verl.utils.import_utils import load_extern_object

from control_envs import format_completion
from llm_agent import export


def main():
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "verl"
        export.main(["prompts", "--format", "verl", "--count", "8", "--held-out", "4", "--output-dir", str(rows)])
        row = load_dataset("parquet", data_files=str(rows / "train.parquet"), cache_dir=folder)["train"][0]
    print(row["data_source"], row["reward_model"]["ground_truth"])
    print(row["prompt"][0]["content"])

    compute_score = load_extern_object("pkg://llm_agent.integrations.verl", "compute_score")
    truth = {"data_source": row["data_source"], "ground_truth": row["reward_model"]["ground_truth"]}
    for answer in (format_completion([[0.0]] * 50, "do nothing"), "I would push gently."):
        plain, scaled = (compute_score(solution_str=answer, **truth, scaled=scaled) for scaled in (False, True))
        print(f"reward {plain:.2f}, scaled to [0, 1] {scaled:.2f}")


if __name__ == "__main__":
    main()
