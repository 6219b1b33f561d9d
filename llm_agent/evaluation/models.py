"""Loads the language models to evaluate: those of a run by phase, or any model by its name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from control_envs import System, format_prompt, sample_states
from llm_agent.models.chat import encode
from llm_agent.models.lengths import completion_room
from llm_agent.policies.language_model import LLMPolicy, Sampling
from llm_agent.storage.run_folder import RunFolder, is_run

__all__ = ["check_named_once", "load_policies", "refuse_twins", "run_models"]

_PROBES = 4  # prompts on which models are compared


def run_models(run: RunFolder, engine: Any = LLMPolicy) -> dict[str, LLMPolicy]:
    """The trained models of a run by phase ("SFT", "GRPO"), with the run's sampling settings.

    Args:
        run: the run.
        engine: `LLMPolicy` or `llm_agent.policies.vllm.VLLMPolicy`.

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


def check_named_once(names: Sequence[str]) -> None:
    """Checks that no model is named twice, also not by another path to its folder.

    Raises:
        ValueError: one is.
    """
    for i, name in enumerate(names):
        if any(name == other or _is_same_folder(name, other) for other in names[:i]):
            raise ValueError(f"the model {name} is named twice: name each model once")


def _is_same_folder(name: str, other: str) -> bool:
    return Path(name).exists() and Path(other).exists() and Path(name).samefile(other)


@cache
def load_policies(name: str) -> dict[str, LLMPolicy]:
    """The models of a run folder, or the model of a model folder or hub id, by their names in tables."""
    if is_run(name):
        run = RunFolder.open(name)
        return {f"{run.path.name} {phase}": model for phase, model in run_models(run).items()}
    return {Path(name).name: LLMPolicy.from_pretrained(name)}


def refuse_twins(system: System, models: dict[str, LLMPolicy]) -> None:
    """Checks that models with different names are different models.

    Args:
        system: the plant whose prompts are used.
        models: language models by name.

    Raises:
        ValueError: two have the same tokenizer and the same logits on a few prompts, as when an adapter was left out.
    """
    import torch

    prompts = [format_prompt(system, x) for x in sample_states(system, _PROBES)]
    names: dict[tuple[str, bytes], str] = {}
    for name, policy in models.items():
        logits = []
        for ids in encode(policy.tokenizer, prompts).input_ids:
            with torch.inference_mode():
                tokens = torch.tensor([ids], device=policy.model.device)
                logits.append(policy.model(input_ids=tokens, use_cache=False).logits[0, -1].float().cpu())
        key = (str(sorted(policy.tokenizer.get_vocab().items())), torch.stack(logits).numpy().tobytes())
        if key in names:
            raise ValueError(
                f"{names[key]} and {name} are the same model: their logits agree on {_PROBES} prompts. Was an adapter "
                "left out, or one model named twice?"
            )
        names[key] = name
