"""Receding-horizon control by text: the fast implementation gives the rollouts of the slow one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from baselines.controllers.text import RecedingTextPolicy, TextPolicy
from baselines.evaluation.rollout import rollout
from control_envs import format_completion, format_prompt, get_system, sample_states
from llm_agent.models.tiny import build_tiny
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.receding import FirstControls, _first_control


class Writer:
    """A mock of a trained model: greedy completions with stated gains, token by token, with the real tokenizer."""

    def __init__(self, system, gains=lambda x: (4.0, 5.0)):
        self.model, self.tokenizer = build_tiny()
        self.system, self.gains, self.forwards, self.written = system, gains, 0, 0
        self.max_new_tokens, self.batch_size = 64, 256

    def answer(self, prompt):
        numbers = prompt.split("from ")[1].split(" to the ")[0]
        x = np.array([float(part.split("=")[1]) for part in numbers.split(", ")])
        k1, k2 = self.gains(x)
        u = self.system.saturate(np.full((self.system.horizon, 1), -k1 * x[0] - k2 * x[1]))
        return format_completion(u, f"feedback k1={k1:.1f} k2={k2:.1f}")

    def act(self, prompts, enough=None, **kwargs):
        self.written += len(prompts)
        return [self.answer(prompt) for prompt in prompts]


@pytest.mark.parametrize("text", ["<CONTROLS>-1.62, 0.50", "a<CONTROLS>1.00</CONTROLS>", "<CONTROLS>1, 2; 3"])
def test_the_first_control_is_whole(text):
    found = _first_control(text)
    assert found == text[: len(found)]
    assert text[len(found)] in ",<"
    assert _first_control("<CONTROLS>-1.6") is None
    assert _first_control("no tag, no control") is None


def test_first_controls_give_the_rollout_of_whole_completions():
    system = get_system("double_integrator")
    writer = Writer(system)
    x0 = sample_states(system, 4)

    def begin(prompts, drafts):
        assert drafts is None or all("<CONTROLS>" in draft for draft in drafts)
        return [_first_control(writer.answer(prompt)) for prompt in prompts]

    quick = rollout(RecedingTextPolicy("quick", system, begin), system, x0)
    slow = rollout(TextPolicy("slow", system, writer.act, replan_every=1), system, x0)
    assert quick.trajectories == slow.trajectories
    broken = rollout(RecedingTextPolicy("mute", system, lambda prompts, drafts: ["?"] * len(prompts)), system, x0)
    assert set(broken.verdicts) == {"missing_tags"}
    assert not broken.valid.any()


def trained(system, steps=150):
    """A tiny model trained for seconds on the beginning of completions: stated gains and first controls."""
    torch.manual_seed(0)
    model, tokenizer = build_tiny()
    writer = Writer(system, lambda x: (4.0, 5.0) if x[0] > 0 else (3.0, 6.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    states = np.round(np.random.default_rng(0).uniform(-0.8, 0.8, (64, 2)), 1) + 0.0
    prompts = [format_prompt(system, x) for x in states]
    ids = torch.tensor(tokenizer([p + writer.answer(p) for p in prompts]).input_ids)[:, :20]
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return LLMPolicy(model.eval(), tokenizer, max_new_tokens=60), prompts


def test_a_draft_is_verified_or_replaced_without_changing_the_result():
    policy, prompts = trained(get_system("double_integrator"))
    full = [_first_control(text) for text in policy.act(prompts)]
    assert all(text is not None for text in full)
    asked = []
    act = policy.act
    policy.act = lambda p, **kwargs: asked.append(len(p)) or act(p, **kwargs)
    assert FirstControls(policy)(prompts) == full
    assert asked == [len(set(prompts))]
    assert FirstControls(policy)(prompts, full) == full
    assert len(asked) == 1  # every draft was right: nothing was written
    other = [full[(i + 7) % len(full)] for i in range(len(full))]  # some drafts state other gains
    assert FirstControls(policy)(prompts, other) == full
    assert 0 < sum(asked[1:]) < len(prompts)
    assert FirstControls(policy)(prompts, ["nonsense"] * len(prompts)) == full


def test_a_repeated_prompt_is_generated_once_per_trajectory():
    policy, prompts = trained(get_system("double_integrator"), steps=0)
    asked = []
    policy.act = lambda p, **kwargs: asked.extend(p) or [f"<CONTROLS>{len(asked)}.00, " for _ in p]
    begin = FirstControls(policy)
    first = begin([*prompts[:3], prompts[0]])
    assert asked == prompts[:3]
    assert first[3] == first[0]
    assert begin(prompts[:3], first[:3]) == first[:3]
    assert asked == prompts[:3]
    begin(prompts[:1])  # trajectories begin anew, and so does what is known
    assert len(asked) == 4
