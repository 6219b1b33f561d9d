"""The commands' flags: our own, and every option of TRL's configuration dataclasses.

Defaults come from a preset (``configs/tiny_*.yaml`` for the embedded model, ``configs/*.yaml`` for any other), then
from ``--config file.yaml``, then from flags.
"""

from __future__ import annotations

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
from llm_agent.dataset import KINDS, Kind
from llm_agent.evaluate import STATES
from llm_agent.models import is_tiny
from llm_agent.policy import Sampling

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
    demonstrations: Kind = field(
        default="varied",
        metadata={"help": "'varied' (state feedback with random stated gains) or 'expert' (LQR)"},
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


@dataclass
class Job:
    """What a command was asked to do.

    Attributes:
        kind: "sft" or "grpo", the command.
        argv: its flags, which parse to this job again.
        args: our own flags.
        sft: the SFT phase's configuration, or None where GRPO starts from another model.
        grpo: the GRPO phase's configuration, or None for SFT alone.
    """

    kind: str
    argv: list[str]
    args: RunArguments
    sft: SFTConfig | None
    grpo: GRPOConfig | None

    @property
    def config(self) -> SFTConfig | GRPOConfig:
        """The configuration whose options are the command's flags."""
        config = self.grpo or self.sft
        assert config is not None
        return config

    @property
    def start(self) -> str | None:
        """The model that GRPO starts from in place of an SFT phase."""
        if isinstance(self.args, GRPOArguments):
            return self.args.sft_from or (self.args.model if self.args.zero_shot else None)
        return None

    @property
    def reward_version(self) -> str:
        """The reward that GRPO trains on."""
        return self.args.reward_version if isinstance(self.args, GRPOArguments) else DEFAULT_VERSION

    def settings(self) -> dict[str, Any]:
        """What the run's record keeps: the flags, and what evaluation needs to know."""
        sampling = {name: getattr(self.grpo, name) for name in vars(Sampling())} if self.grpo else vars(Sampling())
        return {
            "kind": self.kind,
            "argv": self.argv,
            "systems": self.args.systems,
            "model": self.args.model,
            "seed": self.config.seed,
            "eval_states": self.args.eval_states,
            "eval_seed": self.args.eval_seed,
            "reward_version": self.reward_version,
            "sampling": sampling,
            "max_completion_length": self.grpo.max_completion_length if self.grpo else None,
        }


def parse(kind: str, argv: Sequence[str]) -> Job:
    """The job that a command's flags ask for.

    Raises:
        ValueError: a value is invalid (argparse itself exits on flags that it does not know).
    """
    if kind == "sft":
        args, config = _parse((RunArguments, SFTConfig), kind, argv)
        return Job(kind, list(argv), args, config, None)
    args, config = _parse((GRPOArguments, GRPOConfig), kind, argv)
    job = Job(kind, list(argv), args, None, config)
    if job.start is None:
        job.sft = _sft_phase(args, config.seed)
    return job


def _sft_phase(args: GRPOArguments, seed: int) -> SFTConfig:
    """The SFT phase inside ``train_grpo``: preset, then ``--sft-config``, then ``--sft-steps``."""
    argv = ["--model", args.model, "--seed", str(seed)]
    argv += ["--config", args.sft_config] if args.sft_config else []
    argv += ["--max_steps", str(args.sft_steps)] if args.sft_steps else []
    return _parse((RunArguments, SFTConfig), "sft", argv)[1]


def preset(model: str, phase: str) -> dict[str, Any]:
    """The defaults for a phase and a model."""
    name = f"tiny_{phase}" if is_tiny(model) else phase
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def hardware() -> dict[str, Any]:
    """Without an accelerator: the CPU, in bfloat16 where the CPU multiplies it natively (elsewhere it is emulated)."""
    if torch.accelerator.is_available():
        return {}
    cpu: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return {"use_cpu": True, "bf16": bool(cpu.get("avx512_bf16") or cpu.get("amx_bf16"))}


def _parse(dataclasses: Any, phase: str, argv: Sequence[str]) -> tuple[Any, Any]:
    parser = TrlParser(dataclasses, prog=f"python -m llm_agent.train_{phase}")
    model = _flag(argv, "--model") or tiny_model.NAME
    parser.set_defaults_with_config(output_dir="", **hardware(), **preset(model, phase))
    args, config = parser.parse_args_and_config(argv)
    return args, config


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
