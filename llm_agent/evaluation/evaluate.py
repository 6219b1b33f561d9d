"""Evaluates language models on held-out initial states beside LQR and the optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from baselines.controllers.classical import lqr_policy
from baselines.controllers.lqr import lqr
from baselines.controllers.policy import Policy
from baselines.evaluation.comparison import STATES, Comparison, ComparisonResult, compare
from control_envs import System, get_system
from control_envs.utils.files import locked, write_json, write_text
from control_envs.utils.optional import need
from llm_agent.evaluation.gains import completions_of, stated_gains
from llm_agent.evaluation.markdown import to_markdown
from llm_agent.evaluation.models import run_models
from llm_agent.evaluation.trajectories import FILE, write_trajectories
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.text_policies import DECODINGS, text_policies
from llm_agent.storage.run_folder import EVALUATION, RunFolder


def evaluate_policies(
    system: System,
    models: dict[str, LLMPolicy],
    states: int = STATES,
    seed: int = 0,
    structured: bool = False,
    best_of: int | None = None,
) -> ComparisonResult:
    """Flies every model, greedy and sampled, and LQR, from the same held-out initial states.

    Args:
        structured: answers are kept to the plant's format while they are written.
        best_of: beside greedy and sampled answers, the best of so many sampled ones.

    Returns:
        The results and the report: settings, summaries, differences of each later model from the first and of best
        answers from LQR, stated laws.
    """
    first, *later = models
    best, feedback = [] if best_of is None else [f"best of {best_of}"], lqr_policy(system)
    pairs = [(f"{name} {how}", f"{first} {how}") for name in later for how in (*DECODINGS, *best)]
    pairs += [(f"{name} {how}", feedback.name) for name in models for how in best]
    tqdm = need("tqdm.auto", "llm").tqdm
    answers = (len(DECODINGS) + (best_of or 0)) * len(models) * states
    with tqdm(total=answers, desc=f"evaluating on {system.name}", dynamic_ncols=True) as bar:
        texts = text_policies(system, models, seed=seed, progress=bar.update, structured=structured, best_of=best_of)
        policies: list[Policy] = [*texts, feedback]
        comparison = compare(Comparison(system, policies, pairs=pairs, states=states, seed=seed, progress=False))
    comparison.report["stated_laws"] = {r.name: stated_gains(r) for r in comparison.results if completions_of(r)}
    comparison.report["lqr_gains"] = lqr(system)[0].tolist()
    return comparison


def evaluate_run(run: RunFolder, states: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """Evaluates a run's models in its folder: evaluation.json, .md and .parquet.

    Returns:
        The reports by plant.

    Raises:
        ValueError: no phase is finished yet, or another process is working in the folder.
    """
    with locked(run.path):
        comparisons = evaluate_models(run, run_models(run), states, seed)
        reports = {name: comparison.report for name, comparison in comparisons.items()}
        write_trajectories(run.path / FILE, comparisons)
        write_reports(run.path, reports)
    return reports


def evaluate_models(
    run: RunFolder, models: dict[str, LLMPolicy], states: int | None, seed: int | None, **options: Any
) -> dict[str, ComparisonResult]:
    """Evaluates models on a run's plants, from its own initial states unless told otherwise.

    Args:
        ways: as for `evaluate_policies`.
    """
    settings = run.settings
    states = states or settings["eval_states"]
    seed = settings["eval_seed"] if seed is None else seed
    return {n: evaluate_policies(get_system(n), models, states, seed, **options) for n in settings["systems"]}


def write_reports(folder: Path, reports: dict[str, Any]) -> None:
    """Writes evaluation.json and evaluation.md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / EVALUATION, reports)
    write_text(folder / "evaluation.md", "\n".join(to_markdown(report) for report in reports.values()))
