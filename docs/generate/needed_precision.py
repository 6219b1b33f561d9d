"""How exactly each plant's states have to be computed in a plan written in one go, and how exactly a model does it.

python docs/generate/needed_precision.py tiny-universal | python docs/insert.py docs/tiny_model.md needed_precision

LQR writes a plan by simulating the plant, and each simulated state has a random normal error. The plan is then played.
"""

import sys

import numpy as np

from baselines.controllers.lqr import lqr
from control_envs import SYSTEMS, format_prompt, measure, sample_states, simulate
from control_envs.text import DECIMALS
from control_envs.utils.tables import table
from llm_agent.evaluation.written_states import step_errors
from llm_agent.policies.language_model import LLMPolicy

STATES, ANSWERS = 400, 60
ERRORS = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005)


def success(system, error):
    """The share of plans that succeed if each simulated state has an error of this standard deviation."""
    rng = np.random.default_rng(0)
    x0, K = sample_states(system, STATES), lqr(system)[0]
    x, controls = x0, []
    for _ in range(system.horizon):
        controls.append(np.round(system.saturate(-x @ K.T), DECIMALS))
        x = system.step(x, controls[-1]) + error * rng.standard_normal(x.shape)
    return measure(simulate(system, x0, np.stack(controls, axis=1))).success.mean()


def errors(system, model):
    """The median and the 90 % percentile of the errors that a model's greedy answers make in the worst component."""
    prompts = [format_prompt(system, x) for x in sample_states(system, ANSWERS)]
    found = step_errors(system, model.act(prompts, max_new_tokens=model.room_for(system)))
    return [f"{max(found['percentiles'][share]):.4f}" for share in ("50", "90")]


def main(name):
    """Prints the table."""
    model = LLMPolicy.from_pretrained(name)
    rows = [
        [plant, *(f"{100 * success(system, error):.0f}" for error in ERRORS), *errors(system, model)]
        for plant, system in SYSTEMS.items()
    ]
    print(
        f"Success in % of {STATES} held-out states, by the standard deviation of the error in each simulated state; "
        f"and the errors of {name} in the worst component, median and 90 %, in {ANSWERS} greedy answers.\n"
    )
    print(table(["plant", *(f"{error:g}" for error in ERRORS), "its median", "its 90 %"], rows))


if __name__ == "__main__":
    main(sys.argv[1])
