"""What decides whether GRPO improves on its SFT: the preset with one thing changed at a time.

    python -m benchmarks.grpo_choices --sft-from runs/latest/sft [--steps 60] [--states 500] [--seed 0]

Every row starts from the same SFT, sees as many samples, and answers the same held-out states, greedily and sampled as
it was trained. About two minutes a row on two cores, so that `python -m benchmarks` leaves it out.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

VARIANTS = {
    "as chosen": [],
    "all tokens trained": ["--top_entropy_quantile", "1.0"],
    "all tokens, Adam's own epsilon, lr 1e-4": [
        "--top_entropy_quantile", "1.0", "--adam_epsilon", "1e-8", "--learning_rate", "1e-4"
    ],
    "Adam's own epsilon, lr 3e-4": ["--adam_epsilon", "1e-8", "--learning_rate", "3e-4"],
    "three times the learning rate": ["--learning_rate", "3e-3"],
    "min_p 0.05": ["--min_p", "0.05"],
    "beta 0.2": ["--beta", "0.2"],
}  # fmt: skip
MEASURES = (("answered", 100), ("success", 100), ("cost_ratio", 1), ("reward_1.3", 1))


def cells(policy):
    """Parsed and success in per cent, mean J/J*, reward."""
    found = [policy["measures"][name]["mean"] for name, _ in MEASURES]
    return " / ".join("-" if v is None else f"{v * s:.4g}" for v, (_, s) in zip(found, MEASURES, strict=True))


def train(flags, args):
    """The evaluation after GRPO with those flags."""
    from llm_agent.pipeline import command

    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        argv = ["--sft-from", args.sft_from, "--output-dir", str(path), "--eval-states", str(args.states)]
        argv += ["--max_steps", str(args.steps), "--seed", str(args.seed), "--save_strategy", "no", *flags]
        if command("grpo", argv):
            sys.exit(1)
        (report,) = json.loads((path / "evaluation.json").read_text()).values()
        return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sft-from", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--states", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lines = [
        f"{args.steps} GRPO steps, seed {args.seed}, {args.states} held-out states. Each cell: parsed % / success % / "
        "mean J/J* / reward 1.3; the last column: paired gain in sampled reward over the start, 95 % interval.",
        "",
        "| | greedy | sampled | gain, sampled |",
        "|---|---|---|---|",
    ]
    for name, flags in VARIANTS.items():
        report = train(flags, args)
        if name == "as chosen":
            start = report["policies"]
            lines.append(f"| the start (SFT) | {cells(start['SFT greedy'])} | {cells(start['SFT sampled'])} | |")
        after = report["policies"]
        (gain,) = (d for d in report["paired"] if d["policies"][0] == "GRPO sampled" and d["measure"] == "reward_1.3")
        low, high = gain["interval"]
        lines.append(
            f"| {name} | {cells(after['GRPO greedy'])} | {cells(after['GRPO sampled'])} "
            f"| {gain['mean']:+.1f} [{low:+.1f}, {high:+.1f}] |"
        )
        print("\n".join(lines), file=sys.stderr)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
