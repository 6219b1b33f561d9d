"""The training commands' own flags, without the options of TRL's configurations; imports neither torch nor TRL."""

from __future__ import annotations

import argparse
from dataclasses import MISSING, dataclass, field, fields

from baselines.evaluation.comparison import STATES
from control_envs import SYSTEMS, get_reward
from control_envs.rewards import DEFAULT_VERSION
from control_envs.systems import ALL, get_systems
from control_envs.systems.settings import SET_HELP
from llm_agent.data.demonstrations import ERRORS, KINDS, Errors, Kind
from llm_agent.data.reasoning import REASONINGS, WITH_STATES, Reasoning
from llm_agent.models.shipped import BASE
from llm_agent.training.credit import CREDITS, Credit

__all__ = ["PERTURBATION", "GRPOArguments", "RunArguments", "own_help"]

PERTURBATION = 0.15  # default of --perturbation for the tiny model


@dataclass
class RunArguments:
    """Flags of both training commands: model, plants, demonstrations, evaluation.

    Raises:
        ValueError: a value is invalid.
    """

    system: str = field(
        default="double_integrator",
        metadata={"help": f"plants, comma-separated ({', '.join(SYSTEMS)}), or '{ALL}'"},
    )
    set: list[str] = field(default_factory=list, metadata={"help": f"NAME=VALUE, repeatable: {SET_HELP}"})
    model: str = field(
        default=BASE,
        metadata={
            "help": "'tiny-base' (pretrained), 'tiny' (untrained), a run folder, a Hugging Face folder or a hub id"
        },
    )
    demonstrations: Kind = field(
        default="varied",
        metadata={
            "help": "'varied' (state feedback with random stated gains), 'expert' (LQR) or 'optimal' (the cheapest "
            "plan that keeps all bounds)"
        },
    )
    demonstration_count: int | None = field(
        default=None, metadata={"help": "number of demonstrations (default: enough for new ones in every SFT step)"}
    )
    reasoning: Reasoning = field(
        default="brief",
        metadata={
            "help": "reasoning in demonstrations: 'none', 'brief' (the feedback gains), 'waypoints' (gains and some "
            "states), 'states' (the whole trajectory: each control after the state that it is computed from), "
            "'working' (also the working of each step, as in long multiplication)"
        },
    )
    perturbation: float | None = field(
        default=None,
        metadata={
            "help": "size of random errors in the controls that the model reads in demonstrations "
            f"(default {PERTURBATION} for the tiny model, which has one token per number, otherwise 0)"
        },
    )
    errors: Errors = field(
        default="ignored",
        metadata={
            "help": "controls taught after such errors: as if there were none ('ignored'), or corrected ('answered')"
        },
    )
    exploration: float = field(
        default=0.0,
        metadata={
            "help": "with --reasoning states or working: probability, at each step, that a demonstration writes "
            "random controls for up to three steps; the teacher goes on from where they lead"
        },
    )
    variations: float = field(
        default=0.0, metadata={"help": "share of demonstrations with other plant parameters and horizons"}
    )
    lora_r: int = field(
        default=32, metadata={"help": "LoRA rank for pretrained models; 0 trains all weights (the tiny model always)"}
    )
    lora_alpha: int = field(default=64, metadata={"help": "LoRA alpha"})
    load_in_4bit: bool = field(
        default=False, metadata={"help": "load a pretrained model in 4 bits, for QLoRA (needs bitsandbytes)"}
    )
    eval_states: int = field(default=STATES, metadata={"help": "held-out initial states of the evaluation"})
    eval_seed: int = field(default=0, metadata={"help": "seed of the held-out initial states"})
    skip_report: bool = field(default=False, metadata={"help": "do not write report.html (saves some seconds)"})
    resume: bool = field(
        default=False,
        metadata={"help": "continue the run in --output-dir (default: the latest) with its own settings"},
    )

    def __post_init__(self) -> None:
        if isinstance(self.system, list):  # a YAML file may hold a list of plants
            self.system = ", ".join(map(str, self.system))
        get_systems(self.system, self.set)
        if self.demonstrations not in KINDS:
            raise ValueError(f"--demonstrations must be one of {', '.join(KINDS)}, not {self.demonstrations!r}")
        if self.reasoning not in REASONINGS:
            raise ValueError(f"--reasoning must be one of {', '.join(REASONINGS)}, not {self.reasoning!r}")
        for name in ("eval_states", "demonstration_count", "lora_alpha"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
        for name in ("eval_seed", "lora_r"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}")
        if self.errors not in ERRORS:
            raise ValueError(f"--errors must be one of {', '.join(ERRORS)}, not {self.errors!r}")
        if self.perturbation is not None and self.perturbation < 0:
            raise ValueError(f"--perturbation must not be negative, got {self.perturbation}")
        if self.load_in_4bit and self.lora_r == 0:
            raise ValueError("weights in 4 bits cannot be trained: set --lora-r, or leave out --load-in-4bit")
        for name in ("variations", "exploration"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} is a share, between 0 and 1, not {getattr(self, name)}")
        if self.exploration and self.reasoning not in WITH_STATES:
            raise ValueError(
                f"--exploration needs --reasoning states or working, not {self.reasoning}: without its states, "
                "the plan after a random control cannot be computed"
            )

    @property
    def systems(self) -> list[str]:
        """The plants' names, which state the settings that ``--set`` changes."""
        return [system.name for system in get_systems(self.system, self.set)]


@dataclass
class GRPOArguments(RunArguments):
    """Flags of ``train_grpo``.

    Raises:
        ValueError: a value is invalid.
    """

    reward_version: str = field(default=DEFAULT_VERSION, metadata={"help": "version of the environment's reward"})
    credit: Credit = field(
        default="outcome",
        metadata={
            "help": "reward that a token is credited with: 'outcome' (of the whole plan), 'process' (normalised "
            "rewards of the controls from the token on, as in DeepSeekMath) or 'to_go' (return from the token on)"
        },
    )
    sft_weight: float = field(
        default=0.0,
        metadata={
            "help": "weight of the demonstrations' loss (without stated gains) that is added to GRPO's: it "
            "keeps computations exact while GRPO changes decisions (PPO-ptx)"
        },
    )
    curriculum: float = field(
        default=0.0,
        metadata={"help": "share of training during which initial states grow from the origin to the whole box"},
    )
    eval_every: int = field(
        default=0, metadata={"help": "steps between evaluations on validation initial states; 0 for none"}
    )
    patience: int = field(
        default=20,
        metadata={
            "help": "steps in a row without a group with different rewards, or with too few plans, after which "
            "training stops; 0 for never, and to start GRPO even if hardly any completion parses after SFT"
        },
    )
    least_parsed: float = field(
        default=0.05,
        metadata={"help": "parse rate that is too low after SFT, and in GRPO once it was higher (see --patience)"},
    )
    sft_from: str | None = field(
        default=None, metadata={"help": "start GRPO from this run or model, without an SFT phase"}
    )
    zero_shot: bool = field(default=False, metadata={"help": "start GRPO from --model, without an SFT phase"})
    sft_config: str | None = field(default=None, metadata={"help": "YAML with TRL SFTConfig options for the SFT phase"})
    sft_steps: int | None = field(default=None, metadata={"help": "steps of the SFT phase"})

    def __post_init__(self) -> None:
        super().__post_init__()
        get_reward(self.reward_version)
        if self.credit not in CREDITS:
            raise ValueError(f"--credit must be one of {', '.join(CREDITS)}, not {self.credit!r}")
        if not 0 <= self.curriculum <= 1:
            raise ValueError(f"--curriculum is a share of training, between 0 and 1, not {self.curriculum}")
        if self.sft_weight < 0:
            raise ValueError(f"--sft-weight must not be negative, got {self.sft_weight}")
        if self.eval_every < 0:
            raise ValueError(f"--eval-every must not be negative, got {self.eval_every}")
        if self.patience < 0:
            raise ValueError(f"--patience must not be negative, got {self.patience}")
        if not 0 <= self.least_parsed <= 1:
            raise ValueError(f"--least-parsed is a share, between 0 and 1, not {self.least_parsed}")
        if self.sft_steps is not None and self.sft_steps < 1:
            raise ValueError(f"--sft-steps must be at least 1, not {self.sft_steps}")
        if self.zero_shot and self.sft_from:
            raise ValueError("--zero-shot and --sft-from exclude each other: each sets the model that GRPO starts from")


def own_help(kind: str, description: str) -> str:
    """The help text of ``train_sft`` or ``train_grpo`` with our own flags only, without importing TRL."""
    config = {"sft": "SFTConfig", "grpo": "GRPOConfig"}[kind]
    parser = argparse.ArgumentParser(
        prog=f"python -m llm_agent.train_{kind}",
        description=description,
        epilog=f"Every option of TRL's {config} is also a flag (--seed, --max_steps, ...): --help-all lists them.",
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
    parser.add_argument("--help-all", action="store_true", help=f"this help with every option of TRL's {config}")
    return parser.format_help()
