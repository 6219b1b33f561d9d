"""Evaluates language models on held-out initial states and compares them with LQR and the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.controllers.classical import lqr_policy
from baselines.controllers.lqr import lqr
from baselines.controllers.policy import OK, Policy
from baselines.evaluation.comparison import STATES, Comparison, ComparisonResult, compare
from baselines.evaluation.results import Result
from control_envs import System, get_system
from control_envs.utils.files import locked, write_json, write_text
from control_envs.utils.optional import need
from llm_agent.evaluation.gains import stated_gains
from llm_agent.evaluation.markdown import to_markdown
from llm_agent.evaluation.models import run_models
from llm_agent.evaluation.trajectories import FILE, write_trajectories
from llm_agent.evaluation.written_states import step_errors
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.text_policies import DECODINGS, text_policies
from llm_agent.storage.run_folder import EVALUATION, RunFolder

__all__ = ["evaluate_models", "evaluate_policies", "evaluate_run", "write_reports"]

SHOWN = 400  # characters of a completion that is shown as an example


def evaluate_policies(
    system: System,
    models: dict[str, LLMPolicy],
    states: int = STATES,
    seed: int = 0,
    structured: bool = False,
    best_of: int | None = None,
) -> ComparisonResult:
    """Rolls out every model, greedy and sampled, and LQR, from the same held-out initial states.

    Args:
        system: the plant.
        models: language models by the names of their rows.
        states: number of initial states.
        seed: the seed of initial states and of sampling.
        structured: constrains answers to the plant's format during generation.
        best_of: adds, for each model, the best of this many sampled answers.

    Returns:
        The results and the report: settings, summaries, differences of each later model from the first and of the best
        of N from LQR, stated gains (key ``stated_laws``), errors of written states, and LQR's gains.
    """
    first, *later = models
    best, baseline = [] if best_of is None else [f"best of {best_of}"], lqr_policy(system)
    pairs = [(f"{name} {decoding}", f"{first} {decoding}") for name in later for decoding in (*DECODINGS, *best)]
    pairs += [(f"{name} {decoding}", baseline.name) for name in models for decoding in best]
    tqdm = need("tqdm.auto", "llm").tqdm
    answers = (len(DECODINGS) + (best_of or 0)) * len(models) * states
    with tqdm(total=answers, desc=f"evaluating on {system.name}", dynamic_ncols=True) as bar:
        texts = text_policies(system, models, seed=seed, progress=bar.update, structured=structured, best_of=best_of)
        policies: list[Policy] = [*texts, baseline]
        comparison = compare(Comparison(system, policies, pairs=pairs, states=states, seed=seed, progress=False))
    texted = [result for result in comparison.results if result.completions]
    comparison.report["stated_laws"] = {r.name: stated_gains(r) for r in texted}
    comparison.report["written_states"] = {r.name: step_errors(system, r.completions) for r in texted}
    comparison.report["unparsed"] = _unparsed(comparison.results)
    comparison.report["lqr_gains"] = lqr(system)[0].tolist()
    return comparison


def _unparsed(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    """For each language model with completions that hold no plan: the first of them and its verdict."""
    found = {}
    for result in results:
        failed = [i for i, verdict in enumerate(result.controller.verdicts) if verdict != OK]
        if failed and result.completions:
            text = result.completions[failed[0]].encode(errors="replace").decode()
            found[result.name] = {"verdict": str(result.controller.verdicts[failed[0]]), "completion": text[:SHOWN]}
    return found


def evaluate_run(run: RunFolder, states: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """Evaluates a run's models and writes evaluation.json, .md and .parquet into its folder.

    Args:
        run: the run.
        states: number of initial states; None for the run's setting.
        seed: the seed; None for the run's setting.

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
    """Evaluates models on a run's plants.

    Args:
        run: the run.
        models: language models by the names of their rows.
        states: number of initial states; None for the run's setting.
        seed: the seed; None for the run's setting.
        options: ``structured`` and ``best_of`` of `evaluate_policies`.

    Returns:
        The results and report of each plant by its name.
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
