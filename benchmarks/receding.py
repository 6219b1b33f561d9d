"""Receding-horizon control by the tiny model: a new control at every step against one plan per trajectory.

    python -m benchmarks.receding
    python -m benchmarks.receding --model runs/latest       # any other trained tiny model

The controls must be the first ones of the plans that the model writes in full at every step.
"""

import numpy as np

from baselines.controllers.text import RecedingTextPolicy, TextPolicy
from baselines.evaluation.rollout import rollout
from benchmarks import best_time
from control_envs import get_system, measure, sample_states
from control_envs.utils import tables
from control_envs.utils.commands import Parser

COUNT, CHECKED = 100, 10
MODEL = "tiny-double-integrator"


def table(model=MODEL):
    import torch

    from llm_agent.policies.language_model import LLMPolicy
    from llm_agent.policies.receding import FirstControls

    system = get_system("double_integrator")
    policy = LLMPolicy.from_pretrained(model, max_new_tokens=66)
    once = TextPolicy("one plan", system, policy.act)
    quick = RecedingTextPolicy("a decision a step", system, FirstControls(policy))
    slow = TextPolicy("a plan a step", system, policy.act, replan_every=1)
    x0 = sample_states(system, COUNT)
    few = x0[:CHECKED]
    same = np.array_equal(
        rollout(quick, system, few).trajectories.u_written, rollout(slow, system, few).trajectories.u_written
    )
    plan = best_time(lambda: rollout(once, system, x0), 3)
    decisions = best_time(lambda: rollout(quick, system, x0), 2)
    all_plans = best_time(lambda: rollout(slow, system, x0), 1)
    rows = []
    for name, policy_of, seconds in (("one plan", once, plan), ("first control at every step", quick, decisions)):
        metrics = measure(rollout(policy_of, system, x0).trajectories)
        cost = f"{metrics.cost.mean():.3f}"
        rows.append([name, f"{seconds:.2f}", f"{seconds / plan:.1f}", f"{100 * metrics.success.mean():.0f}", cost])
    rows.append(["a whole plan at every step", f"{all_plans:.2f}", f"{all_plans / plan:.1f}", "", ""])
    head = (
        f"{COUNT} states x {system.horizon} steps, {torch.get_num_threads()} threads (`python -m benchmarks.receding`)"
    )
    return f"{head}; same controls as whole answers on {CHECKED} states: {'yes' if same else 'NO'}\n\n" + tables.table(
        ["policy", "s", "times one plan", "success %", "mean J"], rows
    )


if __name__ == "__main__":
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=MODEL, help=f"shipped model, run folder or model folder (default {MODEL})")
    print(table(parser.parse_args().model))
