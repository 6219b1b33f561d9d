"""The check between SFT and GRPO: GRPO cannot learn control from a model whose completions hold no plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from control_envs import format_prompt, get_system, parse_completion, sample_states
from control_envs.utils.commands import CommandError
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.storage.run_folder import RunFolder

__all__ = ["check_parse_rate"]

PROMPTS = 32  # for each plant
SHOWN = 200  # characters of a completion in the message


def check_parse_rate(policy: LLMPolicy, systems: Sequence[str], least: float, run: RunFolder) -> None:
    """Answers validation prompts greedily and stops if hardly any completion holds a plan.

    Args:
        policy: the model after SFT.
        systems: names of the run's plants.
        least: lowest acceptable parse rate on each plant.
        run: the run, which the message says how to continue.

    Raises:
        CommandError: the parse rate is lower on a plant; with the verdicts and one of the completions.
    """
    for system in map(get_system, systems):
        prompts = [format_prompt(system, x) for x in sample_states(system, PROMPTS, "validation")]
        completions = policy.act(prompts)
        verdicts = [parse_completion(text, system.horizon, system.m).verdict for text in completions]
        if np.mean([verdict == "ok" for verdict in verdicts]) >= least:
            continue
        counts = ", ".join(f"{verdict} {count}" for verdict, count in Counter(verdicts).most_common())
        example = next(text for text, verdict in zip(completions, verdicts, strict=True) if verdict != "ok")
        raise CommandError(
            f"after SFT hardly any completion for {system.name} holds a plan ({counts} of {PROMPTS}), so that GRPO has "
            "little to learn from: give SFT more steps (--sft-steps), start from a trained model (--model), or run "
            f"GRPO all the same with --sft-from {run.path} (or --patience 0). One completion: {example[:SHOWN]!r}"
        )
