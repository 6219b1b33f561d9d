"""Evaluates language models on held-out initial states beside LQR.

    python -m llm_agent.evaluate runs/latest
    python -m llm_agent.evaluate runs/A runs/B path/to/model --system van_der_pol --states 500

A run is evaluated in its own folder (SFT and GRPO, greedy and sampled); a model folder or hub id prints its table,
and writes it where --output-dir says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.evaluation import (
    Result,
    markdown_table,
    paired_difference,
    paired_table,
    result_of_flights,
    result_of_texts,
    to_dict,
)
from baselines.lqr import fly_feedback, lqr
from control_envs import System, format_prompt, get_system, measure, sample_states
from control_envs._extras import need
from control_envs.systems.base import Array
from llm_agent.laws import parse_law
from llm_agent.models import completion_room
from llm_agent.policy import LLMPolicy, Sampling
from llm_agent.run_folder import RunFolder, write_json, write_text

PAIRED = ("reward_1.3", "cost_ratio", "success")
STATES = 500


def evaluate_policies(
    system: System, policies: dict[str, LLMPolicy], states: int = STATES, seed: int = 0
) -> tuple[list[Result], dict[str, Any]]:
    """Flies every policy, greedy and sampled, and LQR, from the same held-out initial states.

    Returns:
        The results (LQR last) and a report: settings, summaries, paired differences, stated laws.
    """
    x0 = sample_states(system, states, "test", seed)
    prompts = [format_prompt(system, x) for x in x0]
    K, _ = lqr(system)
    classical = fly_feedback(system, x0, K)
    reference = measure(classical).cost
    results, laws = [], {}
    tqdm = need("tqdm.auto", "llm").tqdm
    with tqdm(total=2 * len(policies) * states, desc=f"evaluating on {system.name}", dynamic_ncols=True) as bar:
        for name, policy in policies.items():
            for greedy in (True, False):
                label = f"{name} {'greedy' if greedy else 'sampled'}"
                completions = policy.act(prompts, greedy=greedy, seed=seed, progress=bar.update)
                results.append(result_of_texts(label, system, x0, completions, reference))
                laws[label] = _stated_laws(system, completions)
    results.append(result_of_flights("LQR", classical, reference))
    report = {
        "system": system.to_dict(),
        "states": {"split": "test", "seed": seed, "count": states},
        "policies": to_dict(results),
        "paired": _paired(results, list(policies)),
        "stated_laws": laws,
        "lqr_gains": K.tolist(),
    }
    return results, report


def _stated_laws(system: System, completions: Sequence[str]) -> dict[str, Any] | None:
    """Mean and spread of the gains that completions state, if they state any."""
    found: list[Array] = [K for c in completions if (K := parse_law(c, system.n, system.m)) is not None]
    if not found:
        return None
    gains = np.array(found)
    return {"count": len(found), "mean": gains.mean(0).tolist(), "std": gains.std(0).tolist()}


def _paired(results: list[Result], names: list[str]) -> list[dict[str, Any]]:
    """Each later policy against the first, in each decoding."""
    by_name = {r.name: r for r in results}
    return [
        paired_difference(by_name[f"{later} {how}"], by_name[f"{names[0]} {how}"], measure_name)
        for later in names[1:]
        for how in ("greedy", "sampled")
        for measure_name in PAIRED
    ]


def to_markdown(report: dict[str, Any]) -> str:
    """The report of one plant as Markdown."""
    states = report["states"]
    parts = [
        f"## {report['system']['name']}",
        f"{states['count']} held-out initial states (split {states['split']}, seed {states['seed']}); "
        "means with 95 % bootstrap intervals; J over parsed plans.",
        markdown_table(report["policies"]),
    ]
    if report["paired"]:
        parts += ["Paired by state:", paired_table(report["paired"])]
    laws = [f"{name}: {_law(law)}" for name, law in report["stated_laws"].items() if law]
    if laws:
        lqr_gains = ", ".join(f"{g:.1f}" for g in np.ravel(report["lqr_gains"]))
        parts.append(f"Gains that the reasoning states (LQR's are {lqr_gains}): " + "; ".join(laws) + ".")
    return "\n\n".join(parts) + "\n"


def _law(law: dict[str, Any]) -> str:
    return ", ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(np.ravel(law["mean"]), np.ravel(law["std"]), strict=True))


def evaluate_run(run: RunFolder, states: int | None = None, seed: int | None = None) -> dict[str, Any]:
    """Evaluates a run's models in its folder: evaluation.json, evaluation.md and pictures.

    Returns:
        The reports by plant.
    """
    from llm_agent.report import draw_run

    settings = run.settings
    states = states or settings["eval_states"]
    seed = settings["eval_seed"] if seed is None else seed
    sampling = Sampling(**settings["sampling"])
    policies = {
        phase.upper(): LLMPolicy.from_pretrained(run.path / phase, sampling=sampling)
        for phase in ("sft", "grpo")
        if run.is_done(phase)
    }
    for policy in policies.values():
        policy.max_new_tokens = completion_room(
            policy.tokenizer, settings["systems"], settings["max_completion_length"]
        )
    if not policies:
        raise ValueError(f"{run.path} holds no trained model yet: finish the run with --resume")
    reports, results = {}, {}
    for name in settings["systems"]:
        results[name], reports[name] = evaluate_policies(get_system(name), policies, states, seed)
    write_json(run.path / "evaluation.json", reports)
    write_text(run.path / "evaluation.md", "\n".join(to_markdown(report) for report in reports.values()))
    draw_run(run, results)
    return reports


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
    args = parser.parse_args(argv)
    if args.states is not None and args.states < 1:
        parser.error("--states must be at least 1")
    try:
        system = get_system(args.system)
        runs = [m for m in args.models if (Path(m) / "run.json").is_file()]
        for name in runs:
            for report in evaluate_run(RunFolder.open(name), args.states, args.seed).values():
                print(f"\n# {name}\n\n{to_markdown(report)}")
        others = [m for m in args.models if m not in runs]
        if others:
            policies = {name: LLMPolicy.from_pretrained(name) for name in others}
            _, report = evaluate_policies(system, policies, args.states or STATES, args.seed or 0)
            print(to_markdown(report))
            if args.output_dir:
                args.output_dir.mkdir(parents=True, exist_ok=True)
                write_json(args.output_dir / "evaluation.json", {system.name: report})
                write_text(args.output_dir / "evaluation.md", to_markdown(report))
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
