"""Import paths of version 0.1's README and docs: each still works and warns."""

import importlib
import subprocess
import sys

import pytest

import baselines.compare

OLD = {
    "baselines.lqr": ("fly_feedback", "lqr"),
    "baselines.mpc": ("MPC",),
    "baselines.flying": ("Scenario", "fly"),
    "baselines.policies": ("Feedback", "MPCPolicy", "RecedingTextPolicy", "TextPolicy", "lqr_policy"),
    "baselines.tables": ("table",),
    "control_envs.codec": ("format_prompt", "parse_completion"),
    "control_envs.wrappers": ("StageCostReward",),
    "llm_agent.dataset": ("make_prompts",),
    "llm_agent.laws": ("format_law",),
    "llm_agent.receding": ("FirstControls",),
    "llm_agent.run_folder": ("RunFolder",),
    "llm_agent.trl_environment": ("Flight", "questions"),
}


@pytest.mark.parametrize("module", OLD)
def test_an_old_module_warns_and_leads_to_the_new_one(module):
    sys.modules.pop(module, None)
    with pytest.warns(DeprecationWarning, match=rf"{module} is now .*version 0\.3"):
        found = importlib.import_module(module)
    assert all(callable(getattr(found, name)) for name in OLD[module])
    with pytest.raises(AttributeError):
        _ = found.nothing_of_this_name


def test_old_names_of_the_comparison_warn():
    for old, new in (("Contest", "Comparison"), ("Outcome", "ComparisonResult"), ("hold", "compare")):
        with pytest.warns(DeprecationWarning, match=f"baselines.evaluation.{new}"):
            found = getattr(baselines.compare, old)
        assert found is getattr(baselines.evaluation, new)


def test_a_script_with_an_old_import_gets_the_new_path():
    code = "from baselines.lqr import lqr"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True)
    assert "<string>:1: DeprecationWarning: baselines.lqr is now baselines.controllers.lqr" in done.stderr
