"""A language model as a receding-horizon controller: it plans at every step, and only the first control is played.

python examples/receding_horizon.py
"""

from functools import partial

from baselines.controllers.classical import lqr_policy
from baselines.controllers.text import RecedingTextPolicy, TextPolicy
from baselines.evaluation.results import evaluate
from baselines.evaluation.rollout import Scenario
from baselines.optimum.solver import solve_all
from control_envs import get_system, sample_states
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.receding import FirstControls

system = get_system("double_integrator")
model = LLMPolicy.from_pretrained("tiny-double-integrator")
x0 = sample_states(system, 20)
optimal = solve_all(system, x0).cost
policies = [
    TextPolicy("open loop", system, partial(model.act, greedy=True)),
    RecedingTextPolicy("receding horizon", system, FirstControls(model)),
    lqr_policy(system),
]
for scenario in (Scenario("undisturbed"), Scenario("process noise", process_noise=0.02)):
    for policy in policies:
        values = evaluate(policy, system, x0, optimal, scenario).values
        print(f"{scenario.name:17s} {policy.name:20s} final error {values['final_error'].mean():.3f}")
