"""The control problems for lm-evaluation-harness (pip install 'lm_eval[api]'): held-out problems and their scores."""

from datasets import Dataset

from llm_agent.integrations.core import Problem, Reward, make_problems


def load(system="double_integrator", count=500, **kwargs):
    """The test split."""
    rows = [{"prompt": p.prompt, "system": p.system, "x0": list(p.x0)} for p in make_problems(system, count, "test")]
    return {"test": Dataset.from_list(rows)}


def process_results(doc, results):
    """The metrics of one answer: the reward of version 1.3, the same in [0, 1], success, and whether it held a plan."""
    problem = Problem(doc["system"], tuple(doc["x0"]))
    plain, scaled = (Reward("1.3", scaled).answer(problem, results[0]) for scaled in (False, True))
    return {
        "reward": plain.reward,
        "reward_scaled": scaled.reward,
        "success": float(plain.success),
        "parsed": float(plain.verdict == "ok"),
    }
