"""Closed loop through TRL's environments."""

import runpy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

from control_envs import SYSTEMS, format_completion, get_system
from control_envs.envs import TextControlEnv
from llm_agent.integrations.trl_environment import ControlEnvironment, environments, questions

EXAMPLE = Path(__file__).parents[2] / "examples" / "trl_environment.py"
CALL = '<tool_call>\n{"name": "play", "arguments": {"controls": [0.5]}}\n</tool_call><|im_end|>'


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_episode_of_several_calls_scores_as_its_whole_plan(name):
    system, rng = SYSTEMS[name], np.random.default_rng(0)
    x0 = system.sample_x0(rng)
    plan = np.round(rng.uniform(*system.u_bounds.T, size=(system.horizon, system.m)), 2)
    trajectory = environments([name])[name]()
    trajectory.reset(x0=x0.tolist(), system=name, prompt="...")
    said = [trajectory.play(part.ravel().tolist()) for part in np.array_split(plan, 7)]
    assert said[-1].endswith("; 0 controls left")
    env = TextControlEnv(system)
    env.reset(options={"x0": x0})
    assert trajectory.get_reward() == pytest.approx(env.step(format_completion(plan))[1], abs=1e-9)


def test_an_unfinished_episode_is_not_a_plan():
    trajectory = ControlEnvironment()
    trajectory.reset([0.4, -0.2])
    assert trajectory.play([0.0, 0.0]) == "position=0.36, velocity=-0.20; 48 controls left"
    assert trajectory.get_reward() == -5.0


@pytest.mark.parametrize(
    ("controls", "message"),
    [([], "finite numbers"), ([float("nan")], "finite numbers"), ([0.0] * 51, "only 50 controls are left")],
)
def test_an_invalid_call_gets_an_error_message(controls, message):
    trajectory = ControlEnvironment()
    with pytest.raises(ValueError, match="over"):
        trajectory.play([0.0])
    trajectory.reset([0.4, -0.2])
    with pytest.raises(ValueError, match=message):
        trajectory.play(controls)
    with pytest.raises(ValueError, match="dictionary of environments"):
        trajectory.reset([0.4, -0.2], system="van_der_pol")


def test_grpo_controls_by_tool_calls(tmp_path, monkeypatch):
    """A model trained to write one call: TRL runs it, returns the state, and takes the trajectory's score."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model, tokenizer = runpy.run_path(str(EXAMPLE), run_name="example")["small_qwen"]()
    rows = questions(["double_integrator"], 4)
    tools = [ControlEnvironment().play]
    prompts = [
        tokenizer.apply_chat_template(p, tools=tools, add_generation_prompt=True)["input_ids"] for p in rows["prompt"]
    ]
    call = tokenizer(CALL).input_ids
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    wanted, least = torch.tensor(call), 0.0
    for _ in range(300):  # until it calls from each of the four prompts, by a margin that no processor's rounding takes
        log_probs = [
            model(torch.tensor([prompt + call])).logits[0, -len(call) - 1 : -1].log_softmax(-1) for prompt in prompts
        ]
        of_call = torch.stack([each.gather(-1, wanted[:, None]) for each in log_probs])
        if (least := of_call.min().exp().item()) > 0.9:
            break
        (-of_call.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert least > 0.9
    short = get_system("double_integrator", horizon=1)
    trainer = trl.GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=trl.GRPOConfig(
            "out",
            max_steps=1,
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=300,
            max_tool_calling_iterations=1,
            top_k=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=rows,
        environment_factory=lambda: ControlEnvironment(short),
    )
    trainer.train()
    (row,) = [row for row in trainer.state.log_history if "reward" in row]
    assert row["tools/call_frequency"] == 1
    assert row["tools/failure_frequency"] == 0
    assert row["rewards/ControlEnvironment/mean"] > 50
