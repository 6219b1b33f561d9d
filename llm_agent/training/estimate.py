"""Estimates the memory and time that a GRPO training needs, by arithmetic."""

from __future__ import annotations

import timeit
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import format_completion, format_prompt, get_system, score_completions
from control_envs.utils.optional import need
from control_envs.utils.tables import table
from llm_agent.training.devices import GB, Device, device_named
from llm_agent.training.model_size import Size, config_of, size_of, uses_builtin_shape

if TYPE_CHECKING:
    from llm_agent.training.arguments import Job

__all__ = [
    "TOKENS_A_NUMBER",
    "Effort",
    "Layout",
    "effort_of",
    "estimate",
    "estimated",
    "memory_of",
    "read_layout",
    "reward_seconds",
    "tokens_of",
]

TOKENS_A_NUMBER = 6  # of "-1.62, " for tokenizers that split numbers into digits, such as Qwen's and Gemma's
TRAINING_SHARE = 0.35  # share of the device's peak FLOP/s that training reaches
GENERATION_SHARE = 0.5  # share of the device's memory bandwidth that generation reaches
LAUNCH = 0.8e-3  # seconds to launch one layer's kernels for one token in transformers; vLLM uses CUDA graphs
GRADIENT_BYTES = 4  # per trained weight
ADAM_BYTES = 12  # per trained weight: the weight in float32 and two moments
KEPT = 44  # hidden vectors that a layer keeps for the backward pass, with LoRA (SmolLM2-135M: 12 GB for 7,000 tokens)
NF4_BYTES = 0.52  # per weight in four bits, including its share of the doubly quantized scales


@dataclass(frozen=True)
class Layout:
    """The number of processes, one device each, and what ZeRO shards among them.

    ZeRO (Rajbhandari et al., arXiv 1910.02054): stage 1 shards Adam's state, stage 2 the gradients as well, stage 3
    (and FSDP's full shard) also the weights.

    Raises:
        ValueError: there is no process.
    """

    name: str = "every process holds the whole model"
    processes: int = 1
    stage: int = 0

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"--processes must be at least 1, not {self.processes}")

    def share(self, stage: int) -> float:
        """The share that one process holds of what ``stage`` shards."""
        return 1.0 / self.processes if self.stage >= stage else 1.0


def read_layout(path: Path) -> Layout:
    """The layout in an accelerate configuration (``accelerate config``, ``accelerate_configs/``).

    Raises:
        ValueError: the file is not an accelerate configuration.
    """
    from llm_agent.training.arguments import read_config

    config = read_config(path)
    if "num_processes" not in config:
        raise ValueError(f"{path} is not an accelerate configuration: it has no num_processes")
    is_fsdp = config.get("distributed_type") == "FSDP"
    stage = 3 if is_fsdp else int(config.get("deepspeed_config", {}).get("zero_stage", 0))
    return Layout(f"{path.stem}: ZeRO stage {stage} or equivalent", int(config["num_processes"]), stage)


@dataclass(frozen=True)
class Effort:
    """The work of one process in one step.

    Attributes:
        reading: FLOP of generation, for the prompts.
        writing: FLOP of generation, for the completions.
        training: FLOP of training.
        read: bytes that generation reads.
        cache: bytes of the key-value cache.
    """

    reading: float
    writing: float
    training: float
    read: float
    cache: float

    def seconds_generating(self, device: Device) -> float:
        """Seconds of generation, bound by memory bandwidth or by arithmetic."""
        arithmetic = self.reading / device.prompt_share + self.writing / device.answer_share
        return max(self.read / (GENERATION_SHARE * device.bandwidth * GB), arithmetic / (device.tflops * 1e12))

    def seconds_training(self, device: Device) -> float:
        """Seconds of training, bound by arithmetic."""
        return self.training / (TRAINING_SHARE * device.tflops * 1e12)


def effort_of(
    size: Size,
    prompt: int,
    answer: int,
    batch: int,
    accumulation: int = 1,
    iterations: int = 1,
    checkpointing: bool = True,
) -> Effort:
    """The effort of one step.

    Args:
        size: of the model.
        prompt: tokens of a prompt.
        answer: tokens of a completion.
        batch: completions of one forward pass.
        accumulation: forward passes of one step. TRL generates the completions of all of them at once.
        iterations: TRL's ``num_iterations``.
        checkpointing: whether activations are computed again for the backward pass.
    """
    weights = size.weights * batch * accumulation
    passed = weights * (prompt + answer)
    cache = 2.0 * batch * accumulation * (prompt + answer) * size.cache_per_token
    passes = 2 + 2 * checkpointing + (2 if size.trained < size.weights else 4)  # forward, forward again, backward
    read = answer * (2.0 * size.weights + cache / 2)  # each token reads all weights and the cache so far
    return Effort(2.0 * weights * prompt, 2.0 * weights * answer, float(passes * iterations * passed), read, cache)


def tokens_of(tokenizer: Any, systems: Sequence[str]) -> tuple[int, int]:
    """Tokens of the longest prompt and of the longest usual completion; guessed if ``tokenizer`` is None."""
    from llm_agent.models.lengths import answer_tokens, prompt_tokens

    plants = [get_system(name) for name in systems]
    if tokenizer is None:
        prompts = [format_prompt(plant, plant.x0_bounds[:, 0]) for plant in plants]
        answers = [round(TOKENS_A_NUMBER * plant.horizon * plant.m) + 20 for plant in plants]
        return max(map(len, prompts)) // 3, max(answers)
    return prompt_tokens(tokenizer, systems), max(answer_tokens(tokenizer, plant) for plant in plants)


def reward_seconds(system: str, count: int = 256, **settings: Any) -> float:
    """Seconds to score one completion on one core, measured on this machine."""
    plant = get_system(system, **settings)
    texts = [format_completion(np.tile(plant.u_bounds[:, 1], (plant.horizon, 1)))] * count
    x0 = np.tile(plant.x0_bounds[:, 1], (count, 1))
    score_completions(plant, x0, texts)
    return min(timeit.repeat(lambda: score_completions(plant, x0, texts), number=1, repeat=5)) / count


def memory_of(
    job: Job, size: Size, layout: Layout, batch: int, prompt: int, answer: int, cache: float
) -> dict[str, float]:
    """Bytes in the memory of one device, by use."""
    four_bit = job.args.load_in_4bit
    embedded = size.vocabulary * size.hidden if four_bit else size.weights  # only layers are quantized
    weights = 2.0 * embedded + NF4_BYTES * (size.weights - embedded)
    return {
        f"weights ({'four bits, embeddings bfloat16' if four_bit else 'bfloat16'})": weights * layout.share(3),
        "gradients of trained weights": GRADIENT_BYTES * size.trained * layout.share(2),
        "Adam's state of trained weights": ADAM_BYTES * size.trained * layout.share(1),
        **_activations(size, batch * (prompt + answer), _checkpoints(job)),
        "logits of a batch": 4.0 * batch * answer * size.vocabulary,
        "key-value cache while generating": cache,
    }


def _activations(size: Size, tokens: int, checkpointing: bool) -> dict[str, float]:
    """Bytes of a batch's activations. Checkpointing keeps each layer's input and computes one layer at a time again."""
    if checkpointing:
        return {"activations (checkpointed)": 2.0 * tokens * size.hidden * (size.layers + 20)}
    return {"activations": 2.0 * tokens * size.hidden * size.layers * KEPT}


def _checkpoints(job: Job) -> bool:
    config: Any = job.grpo
    return bool(getattr(config, "activation_checkpointing", None) or config.gradient_checkpointing)


def estimated(flags: Sequence[str], device: str, layout: Layout, shape: str | None = None) -> str:
    """The estimate of one training as Markdown.

    Args:
        flags: flags of `llm_agent.train_grpo`.
        device: a key of `DEVICES`, or "cpu".
        layout: processes and sharding.
        shape: replaces the model's configuration, "TYPE:NAME=VALUE,...".

    Raises:
        ValueError: a flag is invalid, or the model's configuration cannot be loaded.
        ImportError: a package is not installed.
    """
    need("trl", "llm")
    from llm_agent.models.loading import load_tokenizer
    from llm_agent.training.arguments import parse
    from llm_agent.training.checks import check_ranges

    job = parse("grpo", flags)
    for phase, phase_config in job.phases.items():
        check_ranges(phase_config, phase)
    config = config_of(job.args.model, shape)
    tokenizer = None if shape or uses_builtin_shape(job.args.model) else load_tokenizer(job.args.model)
    size = size_of(config, job.args.lora_r, job.args.lora_alpha)
    rows = estimate(job, size, *tokens_of(tokenizer, job.args.systems), device_named(device), layout)
    return (
        f"{job.args.model} on {layout.processes} x {device} ({layout.name})\n\n{table(['', 'estimate'], rows)}\n\n"
        f"Assumptions: training reaches {TRAINING_SHARE:.0%} of the device's FLOP/s, generation "
        f"{GENERATION_SHARE:.0%} of its memory bandwidth. Launching kernels takes {1e3 * LAUNCH:.1f} ms per layer and "
        "token (none with --use_vllm). Communication between processes takes no time."
    )


def estimate(job: Job, size: Size, prompt: int, answer: int, device: Device, layout: Layout) -> list[list[str]]:
    """Rows of quantity and amount.

    Args:
        prompt: tokens of a prompt.
        answer: tokens of a completion.

    Raises:
        ValueError: the job has no GRPO phase.
    """
    if job.grpo is None:
        raise ValueError("only jobs of train_grpo can be estimated")
    config = job.grpo
    batch = config.per_device_train_batch_size
    completions = batch * config.gradient_accumulation_steps * layout.processes
    accumulation, iterations = config.gradient_accumulation_steps, config.num_iterations
    effort = effort_of(size, prompt, answer, batch, accumulation, iterations, _checkpoints(job))
    memory = memory_of(job, size, layout, batch, prompt, answer, effort.cache)
    total = sum(memory.values())
    verdict = ", TOO MUCH" if total > device.memory * GB else ""
    launching = 0.0 if config.use_vllm or config.use_cpu else answer * size.layers * LAUNCH
    generation = max(effort.seconds_generating(device), launching)
    training = effort.seconds_training(device)
    scoring = completions * max(map(reward_seconds, job.args.systems))
    step = generation + training + scoring
    return [
        ["weights", f"{size.weights / 1e6:,.0f} M, of which {size.trained / 1e6:,.1f} M are trained"],
        ["tokens of a problem and its answer", f"{prompt} + {answer}"],
        ["completions a step", f"{completions} ({completions // (config.num_generations or 1)} problems)"],
        *[[f"memory: {name}", f"{amount / GB:.2f} GB"] for name, amount in memory.items()],
        ["memory in all", f"{total / GB:.1f} of {device.memory:.0f} GB{verdict}"],
        ["a step: generation", f"{generation:.1f} s"],
        ["a step: training", f"{training:.1f} s"],
        ["a step: rewards on one core", f"{scoring:.3f} s"],
        [f"{config.max_steps} steps", f"{config.max_steps * step / 3600:.1f} h"],
    ]
