"""Loads the language models to evaluate: those of a run by phase, or any model by its name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from control_envs import System, format_prompt, sample_states
from control_envs.utils.commands import at_least
from llm_agent.endpoints.flags import (
    add_endpoint_flags,
    check_endpoint_flags,
    endpoint_of,
    is_endpoint,
    refuse_unused,
)
from llm_agent.endpoints.policy import EndpointPolicy
from llm_agent.models.chat import encode
from llm_agent.models.lengths import room_in_run
from llm_agent.policies.language_model import LLMPolicy, Sampling
from llm_agent.storage.run_folder import RunFolder, is_run

__all__ = [
    "MODELS",
    "add_engine_flags",
    "check_named_once",
    "load_policies",
    "loader",
    "refuse_flags_of_models",
    "refuse_twins",
    "run_models",
    "summarised",
]

Loader = Callable[..., LLMPolicy]

MODELS = "run folders, model folders, hub ids, or endpoint:MODEL for a served model"  # help text

_PROBES = 4  # prompts on which models are compared
# Flags of vLLM's engine, spelt as TRL's: the argument of vllm.LLM, and argparse's settings.
_VLLM: dict[str, tuple[str, dict[str, Any]]] = {
    "vllm_gpu_memory_utilization": (
        "gpu_memory_utilization",
        {"type": float, "help": "share of the device's memory to reserve"},
    ),
    "vllm_dtype": ("dtype", {"help": "number format: auto, float32, float16 or bfloat16"}),
    "vllm_max_model_length": ("max_model_len", {"type": int, "help": "tokens of the longest prompt and answer"}),
    "vllm_tensor_parallel_size": ("tensor_parallel_size", {"type": int, "help": "devices that share one model"}),
    "vllm_enforce_eager": (
        "enforce_eager",
        {"action": "store_true", "help": "start sooner, without compiling the model"},
    ),
}


def add_engine_flags(parser: argparse.ArgumentParser, note: str = "") -> None:
    """Adds --max-new-tokens, --use-vllm and the settings of its engine, and those of served models to a command.

    Args:
        parser: the command's parser.
        note: what else --use-vllm does there.
    """
    parser.add_argument(
        "--max-new-tokens", type=at_least(1), default=None, metavar="N", help="of a completion (an answer's length)"
    )
    parser.add_argument("--use-vllm", action="store_true", help=f"generate with vLLM{note}")
    group = parser.add_argument_group("vLLM (by default as vLLM chooses)")
    for name, (_, settings) in _VLLM.items():
        group.add_argument(f"--{name.replace('_', '-')}", default=None, **settings)
    add_endpoint_flags(parser)


def loader(args: argparse.Namespace) -> Loader:
    """What loads a model by its name: a served one, or with the engine that the flags of `add_engine_flags` choose.

    Raises:
        ValueError: a setting of vLLM without --use-vllm, or one of served models without such a model or that cannot
            be read.
    """
    check_endpoint_flags(args)
    refuse_unused(args, args.models)
    local = _local_loader(args)

    def load(name: str | Path, **kwargs: Any) -> LLMPolicy:
        if is_endpoint(str(name)):
            return endpoint_of(str(name), args)  # type: ignore[return-value]
        return local(name, **kwargs)

    return load


def _local_loader(args: argparse.Namespace) -> Loader:
    given = {name: value for name in _VLLM if (value := getattr(args, name)) is not None}
    if not args.use_vllm:
        if given:
            raise ValueError(f"--{next(iter(given)).replace('_', '-')} needs --use-vllm")
        return partial(LLMPolicy.from_pretrained, max_new_tokens=args.max_new_tokens)
    from llm_agent.policies.vllm import VLLMPolicy

    engine = {_VLLM[name][0]: value for name, value in given.items()}
    return partial(VLLMPolicy.from_pretrained, max_new_tokens=args.max_new_tokens, **engine)  # type: ignore[return-value]


def run_models(run: RunFolder, load: Loader = LLMPolicy.from_pretrained) -> dict[str, LLMPolicy]:
    """The trained models of a run by phase ("SFT", "GRPO"), with the run's sampling settings.

    Args:
        run: the run.
        load: loads a model (see `loader`).

    Raises:
        ValueError: no phase is finished yet.
    """
    settings = run.settings
    models = {
        phase.upper(): load(
            run.path / phase, four_bit=settings.get("load_in_4bit", False), sampling=Sampling(**settings["sampling"])
        )
        for phase in ("sft", "grpo")
        if run.is_done(phase)
    }
    for model in models.values():
        model.max_new_tokens = model.max_new_tokens or room_in_run(model.tokenizer, settings)
    if not models:
        raise ValueError(f"{run.path} holds no trained model yet: finish the run with --resume")
    return models


@contextmanager
def summarised(policies: Mapping[str, Any]) -> Iterator[None]:
    """Prints, when the work ends or is stopped, what served models were asked and what that cost."""
    try:
        yield
    finally:
        for policy in policies.values():
            if isinstance(policy, EndpointPolicy) and policy.asked + policy.reused:
                print(policy.summary(), file=sys.stderr)


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
def load_policies(name: str, load: Loader = LLMPolicy.from_pretrained) -> dict[str, LLMPolicy]:
    """The models of a run folder, or the model of a model folder or hub id, by their names in tables."""
    if is_run(name):
        run = RunFolder.open(name)
        return {f"{run.path.name} {phase}": model for phase, model in run_models(run, load).items()}
    return {name if is_endpoint(name) else Path(name).name: load(name)}


def refuse_flags_of_models(args: argparse.Namespace) -> None:
    """Refuses the flags of other models where all are runs.

    Raises:
        ValueError: one is given.
    """
    for name in ("system", "set", "output_dir"):
        if getattr(args, name):
            flag = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{flag} is for models that are not runs: a run is evaluated on its own plants, into its own folder. "
                f"Leave {flag} out, or name the folder of the run's model, such as {args.models[0]}/sft"
            )


def refuse_twins(system: System, models: dict[str, LLMPolicy]) -> None:
    """Checks that models with different names are different models.

    Args:
        system: the plant whose prompts are used.
        models: language models by name; vLLM's and served ones, which give no logits, are not checked.

    Raises:
        ValueError: two have the same tokenizer and the same logits on a few prompts, as when an adapter was left out.
    """
    local = {name: policy for name, policy in models.items() if isinstance(policy, LLMPolicy)}
    if len(local) < 2:
        return
    import torch

    prompts = [format_prompt(system, x) for x in sample_states(system, _PROBES)]
    names: dict[tuple[str, bytes], str] = {}
    for name, policy in local.items():
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
