"""Evaluates language models on held-out initial states beside LQR and the optimum.

    python -m llm_agent.evaluate runs/latest
    python -m llm_agent.evaluate runs/A runs/B path/to/model --system van_der_pol --states 500

A run is evaluated in its own folder (SFT and GRPO, greedy and sampled); a model folder or hub id prints its table,
and writes it where --output-dir says. `python -m llm_agent.compare` sets them beside all classical policies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from baselines.commands import guarded
from baselines.compare import STATES, Contest, Outcome, hold
from baselines.compare import to_markdown as comparison_to_markdown
from baselines.evaluation import Result
from baselines.files import locked, write_json, write_text
from baselines.lqr import fly_feedback, lqr
from baselines.policies import Policy, RecedingTextPolicy, TextPolicy, lqr_policy
from baselines.tables import table
from control_envs import System, get_system, measure, score, simulate
from control_envs._extras import need
from control_envs.codec import DECIMALS, answer_pattern
from control_envs.systems.base import Array
from llm_agent.best_of import BestOf
from llm_agent.flights import FILE as FLIGHTS
from llm_agent.flights import write_flights
from llm_agent.laws import parse_law
from llm_agent.models import completion_room
from llm_agent.policy import LLMPolicy, Sampling
from llm_agent.report import try_to_report
from llm_agent.run_folder import RunFolder

DECODINGS = ("greedy", "sampled")
STRUCTURED = "answers are kept to the format while they are written (structured output)"
BEST_OF = "beside them the best, by the environment's reward, of N sampled answers"


def text_policies(
    system: System,
    models: dict[str, LLMPolicy],
    decodings: Sequence[str] = DECODINGS,
    seed: int = 0,
    replan_every: int | None = None,
    progress: Any = None,
    structured: bool = False,
    best_of: int | None = None,
) -> list[Policy]:
    """Each model in each decoding as a policy for the plant.

    Args:
        replan_every: controls played of each plan; None for whole plans. At 1 greedy answers are not written further
            than their first control.
        progress: called with the number of prompts answered since the last call.
        structured: answers are kept to the plant's format while they are written.
        best_of: beside these, the best by the environment's reward of so many sampled answers (whole plans only).
    """
    if best_of is not None and replan_every:
        raise ValueError("best_of picks whole plans: leave replan_every out")
    pattern = answer_pattern(system) if structured else None

    def policy(name: str, model: LLMPolicy, greedy: bool) -> Policy:
        if replan_every == 1 and greedy and not structured:
            from llm_agent.receding import FirstControls

            return RecedingTextPolicy(name, system, FirstControls(model))
        return TextPolicy(name, system, act(model, greedy), replan_every)

    def act(model: LLMPolicy, greedy: bool) -> Callable[..., Sequence[str]]:
        return partial(model.act, greedy=greedy, seed=seed, progress=progress, pattern=pattern)

    found = []
    for name, model in models.items():
        found += [policy(f"{name} {decoding}", model, decoding == "greedy") for decoding in decodings]
        if best_of is not None:
            found.append(BestOf(f"{name} best of {best_of}", system, act(model, False), best_of))
    return found


def evaluate_policies(
    system: System,
    models: dict[str, LLMPolicy],
    states: int = STATES,
    seed: int = 0,
    structured: bool = False,
    best_of: int | None = None,
) -> Outcome:
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
        outcome = hold(Contest(system, policies, pairs=pairs, states=states, seed=seed, progress=False))
    outcome.report["stated_laws"] = {r.name: _stated_laws(r) for r in outcome.results if _completions(r)}
    outcome.report["lqr_gains"] = lqr(system)[0].tolist()
    return outcome


def _completions(result: Result) -> Sequence[str]:
    return getattr(result.controller, "completions", ())


def _stated_laws(result: Result) -> dict[str, Any] | None:
    """The gains that completions state, if they do, and what they would earn if controls followed from them exactly.

    Between ``written`` and ``exact`` lies the arithmetic, between ``exact`` and the optimum the decision. ``rounded``
    is the law's plan rounded at the end, each control by up to half a hundredth that no later control answers: what
    exact arithmetic earns without an eye on its own rounding.
    """
    system = result.flights.system
    laws = [parse_law(completion, system.n, system.m) for completion in _completions(result)]
    stated = [i for i, K in enumerate(laws) if K is not None]
    if not stated:
        return None
    gains = np.array([laws[i] for i in stated])
    x0 = result.flights.x[stated, 0]
    exact = fly_feedback(system, x0, gains, DECIMALS)
    rounded = simulate(system, x0, np.round(fly_feedback(system, x0, gains).u, DECIMALS))
    return {
        "count": len(stated),
        "mean": gains.mean(0).tolist(),
        "std": gains.std(0).tolist(),
        "written": _earned(result.values["reward_1.3"][stated], result.values["success"][stated]),
        "rounded": _earned(score(rounded, "1.3").total, measure(rounded).success),
        "exact": _earned(score(exact, "1.3").total, measure(exact).success),
    }


def _earned(reward: Array, success: np.ndarray) -> dict[str, float]:
    return {"reward_1.3": float(np.mean(reward)), "success": float(np.mean(success))}


def to_markdown(report: dict[str, Any]) -> str:
    """The report of one plant as Markdown."""
    text = comparison_to_markdown(report)
    rows = [[name, *_law_cells(law)] for name, law in report["stated_laws"].items() if law and "rounded" in law]
    if rows:
        gains = ", ".join(f"{g:.1f}" for g in np.ravel(report["lqr_gains"]))
        head = ["policy", "gains that it states", "reward 1.3", "rounded", "exact", "success %", "rounded", "exact"]
        text += (
            f"\nThe laws that the reasoning states (LQR's gains are {gains}), and what they would earn if the controls "
            "were computed from them exactly and rounded to two decimals: at the end, or each before the next is "
            f"computed.\n\n{table(head, rows)}\n"
        )
    return text


def _law_cells(law: dict[str, Any]) -> list[str]:
    gains = ", ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(np.ravel(law["mean"]), np.ravel(law["std"]), strict=True))
    earned = [law[name] for name in ("written", "rounded", "exact")]
    return [gains, *(f"{e['reward_1.3']:.2f}" for e in earned), *(f"{100 * e['success']:.1f}" for e in earned)]


def run_models(run: RunFolder, engine: Any = LLMPolicy) -> dict[str, LLMPolicy]:
    """The trained models of a run, by phase, with the run's own sampling.

    Args:
        engine: `LLMPolicy` or `llm_agent.vllm_policy.VLLMPolicy`.

    Raises:
        ValueError: no phase is finished yet.
    """
    settings = run.settings
    models = {
        phase.upper(): engine.from_pretrained(
            run.path / phase, four_bit=settings.get("load_in_4bit", False), sampling=Sampling(**settings["sampling"])
        )
        for phase in ("sft", "grpo")
        if run.is_done(phase)
    }
    for model in models.values():
        model.max_new_tokens = completion_room(model.tokenizer, settings["systems"], settings["max_completion_length"])
    if not models:
        raise ValueError(f"{run.path} holds no trained model yet: finish the run with --resume")
    return models


def evaluate_run(run: RunFolder, states: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """Evaluates a run's models in its folder: evaluation.json, .md and .parquet, and pictures.

    Returns:
        The reports by plant.

    Raises:
        ValueError: no phase is finished yet, or another process is working in the folder.
    """
    with locked(run.path):
        return _evaluate_run(run, states, seed)


def _evaluate_run(run: RunFolder, states: int | None, seed: int | None) -> dict[str, Any]:
    from llm_agent.run_pictures import draw_run

    outcomes = _outcomes(run, run_models(run), states, seed)
    reports = {name: outcome.report for name, outcome in outcomes.items()}
    write_flights(run.path / FLIGHTS, outcomes)
    _write(run.path, reports)
    draw_run(run, outcomes)
    return reports


def _outcomes(
    run: RunFolder, models: dict[str, LLMPolicy], states: int | None, seed: int | None, **ways: Any
) -> dict[str, Outcome]:
    settings = run.settings
    states = states or settings["eval_states"]
    seed = settings["eval_seed"] if seed is None else seed
    return {n: evaluate_policies(get_system(n), models, states, seed, **ways) for n in settings["systems"]}


def _write(folder: Path, reports: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "evaluation.json", reports)
    write_text(folder / "evaluation.md", "\n".join(to_markdown(report) for report in reports.values()))


def _engine(args: argparse.Namespace) -> Any:
    if not args.use_vllm:
        return LLMPolicy
    from llm_agent.vllm_policy import VLLMPolicy

    return VLLMPolicy


def _ways(args: argparse.Namespace) -> dict[str, Any]:
    return {"structured": args.structured, "best_of": args.best_of}


def _is_usual(args: argparse.Namespace) -> bool:
    """Whether a run is evaluated as its own evaluation is."""
    return not (args.structured or args.use_vllm or args.best_of)


def _reports_of(run: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    """A run's reports: evaluated in its folder, or with other ways of answering and then only shown."""
    if _is_usual(args):
        return evaluate_run(run, args.states, args.seed)
    outcomes = _outcomes(run, run_models(run, _engine(args)), args.states, args.seed, **_ways(args))
    return {name: outcome.report for name, outcome in outcomes.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["runs/latest"], help="run folders, model folders or hub ids")
    parser.add_argument("--system", default="double_integrator", help="plant for models that are not runs")
    parser.add_argument("--states", type=int, default=None, help=f"held-out initial states (default {STATES})")
    parser.add_argument("--seed", type=int, default=None, help="seed of the held-out states (default 0)")
    parser.add_argument("--output-dir", type=Path, default=None, help="where to write the report of other models")
    parser.add_argument("--structured", action="store_true", help=f"{STRUCTURED}; a run's own evaluation stays")
    parser.add_argument("--use-vllm", action="store_true", help="generate with vLLM; a run's own evaluation stays")
    parser.add_argument(
        "--best-of", type=int, default=None, metavar="N", help=f"{BEST_OF}; a run's own evaluation stays"
    )
    args = parser.parse_args(argv)
    for name in ("states", "best_of"):
        if (given := getattr(args, name)) is not None and given < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")

    def work() -> None:
        runs = [m for m in args.models if (Path(m) / "run.json").is_file()]
        for name in runs:
            for report in _reports_of(RunFolder.open(name), args).values():
                print(f"\n# {name}\n\n{to_markdown(report)}")
            if _is_usual(args):
                print(try_to_report(RunFolder.open(name)), file=sys.stderr)
        others = [m for m in args.models if m not in runs]
        if others:
            engine = _engine(args)
            policies = {name: engine.from_pretrained(name) for name in others}
            system = get_system(args.system)
            states, seed = args.states or STATES, args.seed or 0
            report = evaluate_policies(system, policies, states, seed, **_ways(args)).report
            print(to_markdown(report))
            if args.output_dir:
                _write(args.output_dir, {system.name: report})

    return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
