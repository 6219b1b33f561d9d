"""What makes the tiny model learn numbers quickly: the same SFT without one component at a time.

    python -m benchmarks.tiny_learning [--steps 800]

Each row trains from scratch on the same expert demonstrations of the double integrator, and is evaluated greedily from
the same 500 held-out initial states. About two minutes per row on two cores; `python -m benchmarks` leaves it out.
"""

import tempfile
import time

import numpy as np

from control_envs.utils.commands import Parser

VARIANTS = {
    "as chosen": {},
    "plain targets": {"number_width": 0.0},
    "AdamW for all weights, at its own rate": {"muon": False, "learning_rate": 2e-3},
    "no Fourier features": {"fourier": False},
    "none of the three": {"number_width": 0.0, "muon": False, "learning_rate": 2e-3, "fourier": False},
}


def train(steps, fourier=True, learning_rate=None, **choices):
    import torch

    from llm_agent.data.demonstrations import make_demonstrations
    from llm_agent.models.tiny import build_tiny
    from llm_agent.training.arguments import parse
    from llm_agent.training.callbacks import PrinterCallback, ProgressCallback
    from llm_agent.training.sft import TinySFTTrainer, tokenize

    with tempfile.TemporaryDirectory() as folder:
        argv = ["--model", "tiny", "--max_steps", str(steps), "--output-dir", folder, "--save_strategy", "no"]
        config = parse("sft", argv).sft
        if learning_rate:
            config.learning_rate = learning_rate
        rows, _ = make_demonstrations(["double_integrator"], steps * config.train_batch_size, "expert")
        model, tokenizer = build_tiny(fourier=fourier)
        torch.manual_seed(0)
        trainer = TinySFTTrainer(
            model=model, args=config, train_dataset=tokenize(rows, tokenizer), processing_class=tokenizer, **choices
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        start = time.perf_counter()
        trainer.train()
        return model, tokenizer, time.perf_counter() - start


def row(name, steps, choices):
    from baselines.optimum import solver as optimum
    from control_envs import format_prompt, get_system, sample_states, score_completions
    from llm_agent.policies.language_model import LLMPolicy

    model, tokenizer, seconds = train(steps, **choices)
    system = get_system("double_integrator")
    x0 = sample_states(system, 500)
    texts = LLMPolicy(model, tokenizer, max_new_tokens=64).act([format_prompt(system, x) for x in x0])
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
    parser.add_argument("--steps", type=int, default=800)
    steps = parser.parse_args().steps
    print(f"{steps} steps of 32 expert demonstrations; greedy from 500 held-out initial states.\n")
    print("| | s | parsed | success | J/J* median | mean | reward 1.3 |\n|---|---|---|---|---|---|---|")
    for name, choices in VARIANTS.items():
        print(row(name, steps, choices), flush=True)


if __name__ == "__main__":
    main()
