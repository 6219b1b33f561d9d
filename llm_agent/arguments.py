"""The commands' flags: our own, and every option of TRL's configuration dataclasses.

Defaults come from a preset (``configs/tiny_*.yaml`` for the embedded model, ``configs/*.yaml`` for any other), then
from ``--config file.yaml``, then from flags.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from trl import GRPOConfig, SFTConfig, TrlParser

from control_envs import SYSTEMS, get_reward, get_system
from control_envs.rewards import DEFAULT_VERSION
from llm_agent import tiny_model
from llm_agent.dataset import KINDS
from llm_agent.evaluate import STATES
from llm_agent.models import is_tiny

CONFIGS = Path(__file__).parent / "configs"
ALL = "all"


@dataclass
class RunArguments:
    """What to train, on which plants, from which demonstrations."""

    system: str = field(
        default="double_integrator", metadata={"help": f"a plant ({', '.join(SYSTEMS)}), or '{ALL}' of them"}
    )
    model: str = field(
        default=tiny_model.NAME,
        metadata={"help": "'tiny' (from scratch), a run folder, a Hugging Face folder, or a hub id"},
    )
    demonstrations: str = field(
        default="varied",
        metadata={"help": "'varied' (state feedback with random stated gains) or 'expert' (LQR)", "choices": KINDS},
    )
    demonstration_count: int | None = field(
        default=None, metadata={"help": "demonstrations to make; by default each SFT step sees new ones"}
    )
    lora_r: int = field(
        default=32, metadata={"help": "LoRA rank for pretrained models; 0 trains all weights (the tiny model always)"}
    )
    lora_alpha: int = field(default=64, metadata={"help": "LoRA alpha"})
    eval_states: int = field(default=STATES, metadata={"help": "held-out initial states of the evaluation"})
    eval_seed: int = field(default=0, metadata={"help": "seed of the held-out initial states"})
    resume: bool = field(
        default=False,
        metadata={"help": "go on with the run in --output-dir (by default the last one), with its own settings"},
    )

    def __post_init__(self) -> None:
        if self.system != ALL:
            get_system(self.system)
        if self.demonstrations not in KINDS:
            raise ValueError(f"--demonstrations must be one of {', '.join(KINDS)}, not {self.demonstrations!r}")
        for name in ("eval_states", "demonstration_count"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")

    @property
    def systems(self) -> list[str]:
        """The plants' names."""
        return list(SYSTEMS) if self.system == ALL else [self.system]


@dataclass
class GRPOArguments(RunArguments):
    """What GRPO adds."""

    reward_version: str = field(default=DEFAULT_VERSION, metadata={"help": "version of the environment's reward"})
    sft_from: str | None = field(
        default=None, metadata={"help": "start GRPO from this run or model instead of running SFT first"}
    )
    zero_shot: bool = field(default=False, metadata={"help": "start GRPO from --model itself, without SFT"})
    sft_config: str | None = field(default=None, metadata={"help": "YAML with TRL SFTConfig options for the SFT phase"})
    sft_steps: int | None = field(default=None, metadata={"help": "steps of the SFT phase"})

    def __post_init__(self) -> None:
        super().__post_init__()
        get_reward(self.reward_version)
        if self.zero_shot and self.sft_from:
            raise ValueError("--zero-shot and --sft-from exclude each other: both say what GRPO starts from")


def parse_sft(argv: Sequence[str] | None = None) -> tuple[RunArguments, SFTConfig]:
    """The flags of ``train_sft``."""
    return _parse((RunArguments, SFTConfig), "sft", argv)


def parse_grpo(argv: Sequence[str] | None = None) -> tuple[GRPOArguments, GRPOConfig]:
    """The flags of ``train_grpo``."""
    return _parse((GRPOArguments, GRPOConfig), "grpo", argv)


def sft_phase_config(args: GRPOArguments, seed: int) -> SFTConfig:
    """The SFT phase's configuration inside ``train_grpo``: preset, then ``--sft-config``, then ``--sft-steps``."""
    argv = ["--model", args.model, "--seed", str(seed)]
    argv += ["--config", args.sft_config] if args.sft_config else []
    argv += ["--max_steps", str(args.sft_steps)] if args.sft_steps else []
    return parse_sft(argv)[1]


def preset(model: str, phase: str) -> dict[str, Any]:
    """The defaults for a phase and a model."""
    name = f"tiny_{phase}" if is_tiny(model) else phase
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def hardware() -> dict[str, Any]:
    """Without an accelerator: the CPU, in bfloat16 where the CPU multiplies it natively (elsewhere it is emulated)."""
    if torch.accelerator.is_available():
        return {}
    cpu = getattr(torch.cpu, "get_capabilities", dict)()
    return {"use_cpu": True, "bf16": bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))}


def _parse(dataclasses: tuple[type, ...], phase: str, argv: Sequence[str] | None) -> tuple[Any, ...]:
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = TrlParser(dataclasses, prog=f"python -m llm_agent.train_{phase}")
    model = _flag(argv, "--model") or tiny_model.NAME
    parser.set_defaults_with_config(output_dir="", **hardware(), **preset(model, phase))
    return parser.parse_args_and_config(argv)


def _flag(argv: Sequence[str], name: str) -> str | None:
    """A flag's value before the real parsing, which needs it to choose its defaults; YAML may give it as well."""
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    if "--config" in argv and name != "--config":
        config = yaml.safe_load(Path(argv[list(argv).index("--config") + 1]).read_text())
        return (config or {}).get(name.removeprefix("--"))
    return None
