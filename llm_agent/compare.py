"""Sets language models beside the classical policies: `baselines.compare`'s table with more rows.

python -m llm_agent.compare runs/latest
python -m llm_agent.compare runs/A path/to/model --system van_der_pol --sampled --process-noise 0.01
python -m llm_agent.compare runs/latest --replan-every 1 --states 100     # receding-horizon control by text
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from baselines import compare
from baselines.policies import Policy
from control_envs import System, format_prompt, sample_states
from llm_agent.evaluate import BEST_OF, DECODINGS, STRUCTURED, run_models, text_policies
from llm_agent.policy import LLMPolicy
from llm_agent.run_folder import RunFolder

_PROBES = 4


@cache
def load(name: str) -> dict[str, LLMPolicy]:
    """The models of a run folder, or the one of a model folder or hub id, by the names they have in tables."""
    if (Path(name) / "run.json").is_file():
        run = RunFolder.open(name)
        return {f"{run.path.name} {phase}": model for phase, model in run_models(run).items()}
    return {Path(name).name: LLMPolicy.from_pretrained(name)}


def refuse_twins(system: System, models: dict[str, LLMPolicy]) -> None:
    """Makes sure that models of different names are different.

    Raises:
        ValueError: two of them have the same tokenizer and the same logits, as when an adapter was left out.
    """
    import torch

    from llm_agent.chat import encode

    prompts = [format_prompt(system, x) for x in sample_states(system, _PROBES)]
    seen: dict[tuple[str, bytes], str] = {}
    for name, policy in models.items():
        logits = []
        for ids in encode(policy.tokenizer, prompts).input_ids:
            with torch.inference_mode():
                tokens = torch.tensor([ids], device=policy.model.device)
                logits.append(policy.model(input_ids=tokens, use_cache=False).logits[0, -1].float().cpu())
        key = (str(sorted(policy.tokenizer.get_vocab().items())), torch.stack(logits).numpy().tobytes())
        if key in seen:
            raise ValueError(
                f"{seen[key]} and {name} are the same model: they give the same answers to {_PROBES} problems. Was an "
                "adapter left out, or one model named twice?"
            )
        seen[key] = name


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["runs/latest"], help="run folders, model folders or hub ids")
    parser.add_argument("--sampled", action="store_true", help="sampled answers as well as greedy ones")
    parser.add_argument(
        "--replan-every", type=int, default=None, metavar="K", help="controls played of each plan (all)"
    )
    parser.add_argument("--structured", action="store_true", help=STRUCTURED)
    parser.add_argument("--best-of", type=int, default=None, metavar="N", help=BEST_OF)
    compare.add_arguments(parser)
    args = parser.parse_args(argv)

    def models(system: System) -> list[Policy]:
        loaded = {name: model for given in args.models for name, model in load(given).items()}
        refuse_twins(system, loaded)
        decodings = DECODINGS if args.sampled else DECODINGS[:1]
        ways = {"structured": args.structured, "best_of": args.best_of}
        return text_policies(system, loaded, decodings, args.seed, args.replan_every, **ways)

    return compare.run(args, models)


if __name__ == "__main__":
    sys.exit(main())
