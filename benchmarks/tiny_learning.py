"""What makes the tiny model learn numbers quickly: the same SFT without one component at a time.

    python -m benchmarks.tiny_learning [plans | states] [--steps N]

``plans``: the double integrator, gains and controls only, expert demonstrations. ``states``: the double integrator with
the tight speed limit, the trajectory written out, optimal demonstrations; every row trains on as many tokens. Each row
trains from scratch and is evaluated greedily from the same 500 held-out initial states. Two to five minutes per row;
`python -m benchmarks` leaves it out.
"""

import dataclasses
import tempfile
import time
from typing import Any

import numpy as np

from control_envs.utils.commands import Parser

TABLES: dict[str, dict[str, Any]] = {
    "plans": {
        "system": "double_integrator",
        "steps": 800,
        "flags": {"demonstrations": "expert", "perturbation": 0.0},
        "variants": {
            "as chosen": {},
            "plain targets": {"number_width": 0.0},
            "AdamW for all weights, at its own rate": {"muon": False, "learning_rate": 2e-3},
            "no Fourier features": {"fourier": False},
            "none of the three": {"number_width": 0.0, "muon": False, "learning_rate": 2e-3, "fourier": False},
        },
    },
    "states": {
        "system": "double_integrator_hard",
        "steps": 1200,
        "flags": {
            "demonstrations": "optimal",
            "reasoning": "states",
            "exploration": 0.06,
            "perturbation": 0.1,
            "per_device_train_batch_size": 8,
            "learning_rate": 4e-3,
        },
        "variants": {
            "as chosen": {},
            "no exploration": {"exploration": 0.0},
            "wide soft targets (0.06)": {"number_width": 0.06},
            "batches of 16, half as many": {"per_device_train_batch_size": 16, "learning_rate": 5e-3},
            "no states (brief)": {
                "reasoning": "brief",
                "exploration": 0.0,
                "perturbation": 0.15,
                "per_device_train_batch_size": 32,
                "learning_rate": 5e-3,
                "number_width": 0.06,
            },
        },
    },
}
OWN = ("number_width", "bare_width", "wrong_steps", "answer_weight", "muon", "fourier")  # choices that are not flags


def train(table, steps, choices):
    import torch

    from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
    from llm_agent.models.tiny import build_tiny
    from llm_agent.studies.definitions import TOKENS
    from llm_agent.training.arguments import parse
    from llm_agent.training.callbacks import PrinterCallback, ProgressCallback
    from llm_agent.training.sft import Teaching, TinySFTTrainer, tokenize

    settings = {**table["flags"], **choices}
    own = {name: settings.pop(name) for name in OWN if name in settings}
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        argv = ["--model", "tiny", *flags, "--output-dir", folder, "--save_strategy", "no"]
        job = parse("sft", [*argv, "--max_steps", str(steps)])
        args, config = job.args, job.sft
        # As many tokens as the table's first row.
        size, first = config.train_batch_size, table["flags"]
        tokens = first.get("per_device_train_batch_size", size) * TOKENS[first.get("reasoning", args.reasoning)]
        config.max_steps = round(steps * tokens / size / TOKENS[args.reasoning])
        wanted = DemonstrationConfig(
            kind=args.demonstrations,
            reasoning=args.reasoning,
            perturbation=args.perturbation,
            exploration=args.exploration,
        )
        rows, _ = make_demonstrations([table["system"]], config.max_steps * size, wanted)
        model, tokenizer = build_tiny(fourier=own.pop("fourier", True))
        muon = own.pop("muon", True)
        torch.manual_seed(0)
        trainer = TinySFTTrainer(
            model=model,
            args=config,
            train_dataset=tokenize(rows, tokenizer),
            processing_class=tokenizer,
            teaching=dataclasses.replace(Teaching.of(True, args.reasoning), **own),
            muon=muon,
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        start = time.perf_counter()
        trainer.train()
        return model, tokenizer, time.perf_counter() - start


def row(name, table, steps, choices):
    from baselines.optimum import solver as optimum
    from control_envs import format_prompt, get_system, sample_states, score_completions
    from llm_agent.policies.language_model import LLMPolicy

    model, tokenizer, seconds = train(table, steps, choices)
    system = get_system(table["system"])
    x0 = sample_states(system, 500)
    policy = LLMPolicy(model, tokenizer)
    texts = policy.act([format_prompt(system, x) for x in x0], max_new_tokens=policy.room_for(system))
    scores = score_completions(system, x0, texts)
    cost = optimum.solve_all(system, x0).cost
    ratio = scores.metrics.cost / cost[scores.valid]
    success = scores.metrics.success.sum() / len(x0)
    return (
        f"| {name} | {seconds:.0f} | {scores.valid.mean():.1%} | {success:.1%} "
        f"| {np.median(ratio):.3f} | {ratio.mean():.3f} | {scores.total.mean():.1f} |"
    )


def main():
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", nargs="?", choices=TABLES, default="plans")
    parser.add_argument("--steps", type=int, help="steps of the first row (default: 800 for plans, 1200 for states)")
    args = parser.parse_args()
    table = TABLES[args.table]
    steps = args.steps or table["steps"]
    print(f"{table['system']}, {steps} steps; greedy from 500 held-out initial states.\n")
    print("| | s | parsed | success | J/J* median | mean | reward 1.3 |\n|---|---|---|---|---|---|---|")
    for name, choices in table["variants"].items():
        print(row(name, table, steps, choices), flush=True)


if __name__ == "__main__":
    main()
