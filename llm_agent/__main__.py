"""The commands under one name: ``control-grpo evaluate ...`` is ``python -m llm_agent.evaluate ...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "train": ("llm_agent.train_grpo", "SFT, then GRPO"),
    "sft": ("llm_agent.train_sft", "SFT alone"),
    "evaluate": ("llm_agent.evaluate", "models on held-out initial states"),
    "compare": ("llm_agent.compare", "models beside classical controllers"),
    "benchmark": ("llm_agent.benchmark", "one score for any policy"),
    "leaderboard": ("llm_agent.leaderboard", "results of the benchmark as a page"),
    "play": ("llm_agent.play", "try a model in the browser or the terminal"),
    "report": ("llm_agent.report", "the page of a run"),
    "runs": ("llm_agent.runs", "list and compare runs"),
    "study": ("llm_agent.study", "runs that differ in one thing, over seeds"),
    "tune": ("llm_agent.tune", "search for hyperparameters"),
    "estimate": ("llm_agent.estimate", "memory and time of a training"),
    "export": ("llm_agent.export", "demonstrations and prompts as Parquet"),
    "fetch": ("llm_agent.fetch", "get a pretrained model"),
    "animate": ("llm_agent.animate", "an episode as an animated GIF"),
    "checkpoints": ("llm_agent.checkpoints", "the models that come with the package"),
    "baselines": ("baselines.compare", "classical controllers"),
    "ppo": ("baselines.ppo", "train PPO"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in COMMANDS:
        return import_module(COMMANDS[name][0]).main(rest) or 0
    lines = [f"  {command:12s} {what}" for command, (_, what) in COMMANDS.items()]
    usage = "\n".join(["usage: control-grpo COMMAND ...; COMMAND --help lists its flags", "", *lines])
    if name in ("-h", "--help"):
        print(usage)
        return 0
    print(f"error: there is no command {name!r}: choose from {', '.join(COMMANDS)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
