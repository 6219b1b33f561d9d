"""Language models that control: data, SFT, GRPO, policies and evaluation."""
