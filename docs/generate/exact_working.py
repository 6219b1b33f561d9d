"""What a model's controls are worth where the working of each step is exact, and the model writes the controls only.

python docs/generate/exact_working.py runs/working | python docs/insert.py docs/tiny_model.md exact_working
"""

import sys

import numpy as np
import torch
from every_plant import HEAD, row
from transformers import DynamicCache

from baselines.controllers.classical import lqr_policy
from baselines.controllers.policy import OK, OpenLoopController
from baselines.evaluation.comparison import Comparison, compare
from control_envs import SYSTEMS, format_prompt
from control_envs.text import DECIMALS, REASONING
from control_envs.utils.tables import table
from llm_agent.data.component_sum import STATE_DECIMALS
from llm_agent.data.trajectory_text import format_trajectory
from llm_agent.data.working import work
from llm_agent.models.chat import encode
from llm_agent.models.loading import load_model

STATES = 60


class ExactWorking:
    """A model as a policy: it writes each control, after the exact state and working of all steps before."""

    def __init__(self, model, tokenizer, system):
        self.name, self.model, self.tokenizer, self.system = "exact working", model, tokenizer, system

    def decisions(self, horizon):
        """The time of a decision is not meaningful."""
        return 0

    def start(self, x0):
        """Plans from states x0 (S, n)."""
        system, prompts = self.system, [format_prompt(self.system, x) for x in x0]
        ids = encode(self.tokenizer, prompts, return_tensors="pt", padding=True, padding_side="left")
        self._prompts, self._mask, self._cache = ids.input_ids, ids.attention_mask, DynamicCache()
        x, u = [np.round(x0, STATE_DECIMALS)], []
        for _ in range(system.horizon):
            u.append(np.zeros((len(x0), system.m)))
            for j in range(system.m):
                u[-1][:, j] = self._ask(np.stack(x, axis=1), np.stack(u, axis=1), j)
            x.append(np.round(system.step(x[-1], np.round(system.saturate(u[-1]), DECIMALS)), STATE_DECIMALS))
        return OpenLoopController(np.stack(u, axis=1), np.full(len(x0), OK, dtype=object))

    def _ask(self, x, u, j):
        """Control j of the last step, (S,), from states x (S, k, n) and controls u (S, k, m) with zeros from there."""
        trajectories = [format_trajectory(a, b, work(self.system, a, b)) for a, b in zip(x, u, strict=True)]
        texts = torch.tensor(self.tokenizer([REASONING + text for text in trajectories]).input_ids)
        ids = torch.cat([self._prompts, texts[:, : j - self.system.m]], dim=1)
        mask = torch.cat([self._mask, torch.ones_like(texts[:, : j - self.system.m])], dim=1)
        new = ids[:, self._cache.get_seq_length() :]
        with torch.no_grad():
            logits = self.model(new, attention_mask=mask, past_key_values=self._cache, logits_to_keep=1).logits
        return [_number(self.tokenizer.decode([i])) for i in logits[:, -1].argmax(dim=-1).tolist()]


def _number(token):
    """The control that a token holds; 0 if it holds none."""
    try:
        return float(token.rstrip(", "))
    except ValueError:
        return 0.0


def main(name):
    """Prints the table."""
    model, tokenizer = load_model(name)
    rows = []
    for plant, system in SYSTEMS.items():
        policy = ExactWorking(model.eval(), tokenizer, system)
        report = compare(Comparison(system, [policy, lqr_policy(system)], states=STATES, progress=False)).report
        rows.append(row(plant, report, policy.name))
    print(f"One greedy plan from each of {STATES} held-out states, with the exact working of each step.\n")
    print(table(HEAD, rows))


if __name__ == "__main__":
    main(sys.argv[1])
