"""The best of several answers, picked by the environment."""

import numpy as np
import pytest
from refusing import refusal

from baselines.evaluation.results import evaluate
from control_envs import get_system, sample_states, score_completions
from llm_agent import compare
from llm_agent import evaluate as evaluate_command
from llm_agent.policies.best_of import BestOf
from llm_agent.policies.language_model import LLMPolicy

SYSTEM, COUNT = get_system("double_integrator"), 4


@pytest.fixture(scope="module")
def model():
    return LLMPolicy.from_pretrained("tiny-double-integrator")


def test_each_state_gets_its_best_answer(model):
    x0, heard = sample_states(SYSTEM, 6), []

    def act(prompts):
        heard[:] = model.act(prompts, greedy=False, seed=0)
        heard[COUNT] = "no plan"  # never the best, if the others hold plans
        return heard

    result = evaluate(BestOf("best", SYSTEM, act, COUNT), SYSTEM, x0, np.ones(6))
    scores = score_completions(SYSTEM, np.repeat(x0, COUNT, axis=0), heard).total.reshape(6, COUNT)
    assert len(heard) == 6 * COUNT
    np.testing.assert_array_equal(result.values["reward_1.3"], scores.max(1))
    assert (scores.max(1) > scores.mean(1)).all()
    assert result.verdicts == {"ok": 6}


def test_without_any_plan_no_control_is_applied():
    x0 = sample_states(SYSTEM, 2)
    result = evaluate(BestOf("best", SYSTEM, lambda prompts: ["?"] * len(prompts), COUNT), SYSTEM, x0, np.ones(2))
    assert result.verdicts == {"missing_tags": 2}


def test_the_commands_show_it(capsys):
    assert evaluate_command.main(["tiny-double-integrator", "--best-of", "2", "--states", "5"]) == 0
    assert "tiny-double-integrator best of 2 |" in capsys.readouterr().out
    flags = ["tiny-double-integrator", "--states", "3", "--best-of", "2"]
    assert "--best-of picks whole plans" in refusal(compare.main, [*flags, "--replan-every", "10"], capsys)
    for main in (compare.main, evaluate_command.main):
        assert "--best-of: must be a whole number" in refusal(main, ["no/such-model", "--best-of", "0"], capsys)
