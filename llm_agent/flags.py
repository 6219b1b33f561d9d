"""The training commands' own flags, apart from the options of TRL's configurations; quick to import."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, field, fields

from baselines.compare import STATES
from control_envs import SYSTEMS, get_reward, get_system
from control_envs.rewards import DEFAULT_VERSION
from llm_agent.checkpoints import BASE
from llm_agent.credit import CREDITS, Credit
from llm_agent.dataset import ERRORS, KINDS, Errors, Kind
from llm_agent.laws import REASONINGS, Reasoning

ALL = "all"
PERTURBATION = 0.15


@dataclass
class RunArguments:
    """What to train, on which plants, from which demonstrations."""

    system: str = field(
        default="double_integrator",
        metadata={"help": f"a plant ({', '.join(SYSTEMS)}), several with commas between, or '{ALL}'"},
    )
    model: str = field(
        default=BASE,
        metadata={
            "help": "'tiny-base' (pretrained), 'tiny' (from scratch), a run folder, a Hugging Face folder, a hub id"
        },
    )
    demonstrations: Kind = field(
        default="varied",
        metadata={
            "help": "'varied' (state feedback with random stated gains), 'expert' (LQR) or 'optimal' "
            "(the cheapest plan that keeps the bounds)"
        },
    )
    demonstration_count: int | None = field(
        default=None, metadata={"help": "demonstrations to make; by default each SFT step sees new ones"}
    )
    reasoning: Reasoning = field(
        default="brief",
        metadata={
            "help": "what demonstrations reason: 'none', 'brief' (the law), 'waypoints' (states to come as well), "
            "'states' (the law, then each control beside the state it follows from)"
        },
    )
    perturbation: float | None = field(
        default=None,
        metadata={
            "help": "errors added to the demonstrations' controls as the model reads them "
            f"(default {PERTURBATION} for the tiny model, whose every number is one token, otherwise 0)"
        },
    )
    errors: Errors = field(
        default="ignored",
        metadata={"help": "what is taught after such errors: 'ignored' (as if there were none) or 'answered'"},
    )
    variations: float = field(
        default=0.0, metadata={"help": "share of demonstrations of other plant parameters and horizons"}
    )
    lora_r: int = field(
        default=32, metadata={"help": "LoRA rank for pretrained models; 0 trains all weights (the tiny model always)"}
    )
    lora_alpha: int = field(default=64, metadata={"help": "LoRA alpha"})
    load_in_4bit: bool = field(
        default=False, metadata={"help": "a pretrained model's weights in four bits under LoRA (needs bitsandbytes)"}
    )
    eval_states: int = field(default=STATES, metadata={"help": "held-out initial states of the evaluation"})
    eval_seed: int = field(default=0, metadata={"help": "seed of the held-out initial states"})
    skip_report: bool = field(default=False, metadata={"help": "leave out the run's page, report.html (some seconds)"})
    resume: bool = field(
        default=False,
        metadata={"help": "go on with the run in --output-dir (by default the last one), with its own settings"},
    )

    def __post_init__(self) -> None:
        for name in self.systems:
            get_system(name)
        if self.demonstrations not in KINDS:
            raise ValueError(f"--demonstrations must be one of {', '.join(KINDS)}, not {self.demonstrations!r}")
        if self.reasoning not in REASONINGS:
            raise ValueError(f"--reasoning must be one of {', '.join(REASONINGS)}, not {self.reasoning!r}")
        for name in ("eval_states", "demonstration_count"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        if self.errors not in ERRORS:
            raise ValueError(f"--errors must be one of {', '.join(ERRORS)}, not {self.errors!r}")
        if self.perturbation is not None and self.perturbation < 0:
            raise ValueError(f"--perturbation must not be negative, and is {self.perturbation}")
        if self.load_in_4bit and self.lora_r == 0:
            raise ValueError("weights in four bits cannot be trained: give --lora-r, or leave --load-in-4bit out")
        if not 0 <= self.variations <= 1:
            raise ValueError(f"--variations is a share, between 0 and 1, not {self.variations}")

    @property
    def systems(self) -> list[str]:
        """The plants' names."""
        return list(SYSTEMS) if self.system == ALL else list(dict.fromkeys(self.system.split(",")))


@dataclass
class GRPOArguments(RunArguments):
    """What GRPO adds."""

    reward_version: str = field(default=DEFAULT_VERSION, metadata={"help": "version of the environment's reward"})
    credit: Credit = field(
        default="outcome",
        metadata={
            "help": "what a token is credited with: 'outcome' (the whole plan's reward), 'process' (DeepSeekMath's "
            "normalised rewards of the controls from it on) or 'to_go' (the return from it on)"
        },
    )
    curriculum: float = field(
        default=0.0,
        metadata={"help": "share of training over which initial states spread from the origin to the whole box"},
    )
    eval_every: int = field(
        default=0, metadata={"help": "steps between evaluations on validation states while training; 0 for none"}
    )
    patience: int = field(
        default=20,
        metadata={
            "help": "steps in a row without any group to learn from, or with too few plans, that end training; 0: none"
        },
    )
    least_parsed: float = field(
        default=0.05, metadata={"help": "share of completions with a plan that is too few, once more had one"}
    )
    sft_from: str | None = field(
        default=None, metadata={"help": "start GRPO from this run or model instead of running SFT first"}
    )
    zero_shot: bool = field(default=False, metadata={"help": "start GRPO from --model itself, without SFT"})
    sft_config: str | None = field(default=None, metadata={"help": "YAML with TRL SFTConfig options for the SFT phase"})
    sft_steps: int | None = field(default=None, metadata={"help": "steps of the SFT phase"})

    def __post_init__(self) -> None:
        super().__post_init__()
        get_reward(self.reward_version)
        if self.credit not in CREDITS:
            raise ValueError(f"--credit must be one of {', '.join(CREDITS)}, not {self.credit!r}")
        if not 0 <= self.curriculum <= 1:
            raise ValueError(f"--curriculum is a share of training, between 0 and 1, not {self.curriculum}")
        if self.eval_every < 0:
            raise ValueError(f"--eval-every must not be negative, and is {self.eval_every}")
        if self.patience < 0:
            raise ValueError(f"--patience must not be negative, and is {self.patience}")
        if not 0 <= self.least_parsed <= 1:
            raise ValueError(f"--least-parsed is a share, between 0 and 1, not {self.least_parsed}")
        if self.zero_shot and self.sft_from:
            raise ValueError("--zero-shot and --sft-from exclude each other: both say what GRPO starts from")


def own_help(kind: str, description: str) -> str:
    """The help text of ``train_sft`` or ``train_grpo`` with our own flags alone, without importing TRL."""
    config = {"sft": "SFTConfig", "grpo": "GRPOConfig"}[kind]
    parser = argparse.ArgumentParser(
        prog=f"python -m llm_agent.train_{kind}",
        description=description,
        epilog=f"Every option of TRL's {config} is a flag too (--seed, --max_steps, ...): --help-all lists them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for f in fields(GRPOArguments if kind == "grpo" else RunArguments):
        default = "" if f.default in (None, False, MISSING) else f" (default {f.default})"
        flag = f"--{f.name.replace('_', '-')}"
        metavar = None if f.default is False else f.name.upper()
        action = {"action": "store_true"} if f.default is False else {"metavar": metavar}
        parser.add_argument(flag, help=f.metadata["help"].replace("%", "%%") + default, **action)
    parser.add_argument("--output-dir", metavar="DIR", help="the run's folder (a new one under runs/ by default)")
    parser.add_argument("--config", metavar="FILE", help=f"YAML file with flags and options of {config}")
    parser.add_argument("--help-all", action="store_true", help=f"every option of TRL's {config} as well")
    return parser.format_help()
