"""TRL's GRPOTrainer with credit per control (`llm_agent.training.credit`) and faster logits for the tiny model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from trl import GRPOTrainer

from control_envs import get_system
from control_envs.rewards import DEFAULT_VERSION
from control_envs.utils.types import Array
from llm_agent.models.tiny import holds_tiny
from llm_agent.training.credit import Credit, control_advantages, control_rewards, controls_before
from llm_agent.training.replay import Replay
from llm_agent.training.rewards import completion_text, training_progress, variance_shares

__all__ = ["ControlGRPOTrainer"]


class ControlGRPOTrainer(GRPOTrainer):
    """GRPO on control plans.

    Args:
        credit: how the reward is credited to tokens, see `llm_agent.training.credit`.
        reward_version: reward of the running score, for credit per control.
        replay: demonstrations whose loss is added to GRPO's; None for none.
        sft_weight: the weight of that loss.
    """

    def __init__(
        self,
        *args: Any,
        credit: Credit = "outcome",
        reward_version: str = DEFAULT_VERSION,
        replay: Replay | None = None,
        sft_weight: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self._replay, self._sft_weight = replay, sft_weight
        self._credit, self._reward_version = credit, reward_version
        self._dense = holds_tiny(self.accelerator.unwrap_model(self.model))

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """GRPO's loss, and the weighted loss of a batch of demonstrations."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self._replay is None or not model.training:
            return loss
        with self.accelerator.autocast():
            replayed = self._replay.loss(model)
        self._log_metric("replay/loss", replayed.item())
        return loss + self._sft_weight * replayed / self.current_gradient_accumulation_steps

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        weighted = (rewards * self.reward_weights.to(rewards.device)).nan_to_num().cpu().double().numpy()
        self._scored = (inputs, completions, completion_ids_list, weighted)
        self._log_groups(weighted)
        return rewards

    def _log_groups(self, values: Array) -> None:
        """Logs each reward function's share of the variance within groups, and how large the largest advantage is."""
        G = int(self.num_generations or 1)
        parts = dict(zip(self.reward_func_names, values.T, strict=True))
        groups = np.arange(len(values)) // G
        for name, share in variance_shares(parts, groups).items():
            self._log_metric(f"variance_share_of_rewards/{name}", share)
        whole = values.sum(1).reshape(-1, G)
        centred = np.abs(whole - whole.mean(1, keepdims=True))
        spread = whole.std(1, ddof=1)
        if (spread > 0).any():
            largest = (centred.max(1)[spread > 0] / spread[spread > 0]).mean()
            self._log_metric("groups/largest_advantage", float(largest))
        self._log_metric("groups/without_signal", float((spread == 0).mean()))
        self._log_metric("groups/reward_min", float(whole.min()))
        self._log_metric("groups/reward_max", float(whole.max()))

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        if self._credit != "outcome":
            batch["advantages"] = self._token_advantages(batch["completion_mask"])
        return batch

    def _token_advantages(self, mask: torch.Tensor) -> torch.Tensor:
        """Advantages per token of this process's completions, (B, T)."""
        inputs, completions, ids, weighted = self._scored
        systems = [row["system"] for row in inputs]
        texts = [completion_text(c) for c in completions]
        earned = control_rewards(
            systems, [row["x0"] for row in inputs], texts, self._reward_version, training_progress(self.state)
        )
        padded = self.accelerator.pad_across_processes(
            torch.as_tensor(earned, device=mask.device), dim=1, pad_index=float("nan")
        )
        gathered = self.accelerator.gather(padded).cpu().numpy()
        advantages = control_advantages(gathered, weighted.sum(1), int(self.num_generations or 1), self._credit)
        local = advantages[self.accelerator.process_index * len(texts) :][: len(texts)]
        out = np.zeros(mask.shape)
        assert isinstance(self.processing_class, PreTrainedTokenizerBase)
        for row, (tokens, name) in enumerate(zip(ids, systems, strict=True)):
            before = controls_before(self.processing_class, tokens, get_system(name).m)
            out[row, : len(tokens)] = local[row, np.minimum(before, local.shape[1] - 1)]
        return torch.as_tensor(out, dtype=torch.float32, device=mask.device)

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **kwargs
    ):
        """As TRL's, but with all logits of a small vocabulary at once: on a CPU faster than TRL's chunks."""
        if not self._dense:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
        size = batch_size or len(input_ids)
        logps, entropies = [], []
        for ids, attention in zip(input_ids.split(size), attention_mask.split(size), strict=True):
            with self.accelerator.autocast():
                outputs = model(
                    input_ids=ids, attention_mask=attention, logits_to_keep=logits_to_keep + 1, use_cache=False
                )
            scaled = outputs.logits[:, :-1].float() / self.temperature
            logs = torch.log_softmax(scaled, dim=-1)
            logps.append(logs.gather(-1, ids[:, -logits_to_keep:, None]).squeeze(-1))
            if compute_entropy:
                with torch.no_grad():  # softmax, since exp(logs) is slow on a CPU where it underflows
                    entropies.append(-(torch.softmax(scaled, dim=-1) * logs).sum(-1))
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None
