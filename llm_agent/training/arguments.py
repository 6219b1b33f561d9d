"""Parses the flags of the training commands: our own, and every option of TRL's configuration dataclasses.

Defaults come from a preset (``configs/tiny_*.yaml`` for the embedded model, untrained or pretrained; ``configs/*.yaml``
for any other model). ``--config file.yaml`` overrides the preset, and flags override both.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from trl import GRPOConfig, SFTConfig, TrlParser

from control_envs.rewards import DEFAULT_VERSION
from llm_agent.data.reasoning import Reasoning
from llm_agent.models import tiny as tiny_model
from llm_agent.models.loading import is_tiny
from llm_agent.models.shipped import BASE
from llm_agent.policies.language_model import Sampling
from llm_agent.training.flags import GRPOArguments, RunArguments
from llm_agent.training.hardware import hardware

__all__ = ["CONFIGS", "Job", "find_config", "parse", "preset", "read_config"]

CONFIGS = Path(__file__).parent / "configs"


@dataclass
class Job:
    """The parsed flags of a training command.

    Attributes:
        kind: the command, "sft" or "grpo".
        argv: the command's flags; parsing them again gives the same job.
        args: our own flags.
        sft: configuration of the SFT phase; None if GRPO starts from another model.
        grpo: configuration of the GRPO phase; None for SFT alone.
        machine: defaults that depend on the machine. A resumed run keeps them.
    """

    kind: str
    argv: list[str]
    args: RunArguments
    sft: SFTConfig | None
    grpo: GRPOConfig | None
    machine: Mapping[str, Any]

    @property
    def config(self) -> SFTConfig | GRPOConfig:
        """The configuration that the command's TRL flags set: GRPO's if there is one, otherwise SFT's."""
        config = self.grpo or self.sft
        assert config is not None
        return config

    @property
    def phases(self) -> dict[str, SFTConfig | GRPOConfig]:
        """The configurations of the phases that train, by name."""
        return {name: config for name, config in (("sft", self.sft), ("grpo", self.grpo)) if config is not None}

    @property
    def start(self) -> str | None:
        """The model that GRPO starts from without an SFT phase, or None."""
        if isinstance(self.args, GRPOArguments):
            return self.args.sft_from or (self.args.model if self.args.zero_shot else None)
        return None

    @property
    def reward_version(self) -> str:
        """The reward version that GRPO trains on."""
        return self.args.reward_version if isinstance(self.args, GRPOArguments) else DEFAULT_VERSION

    @property
    def sampling(self) -> dict[str, Any]:
        """How GRPO samples, and the evaluation with it."""
        options = vars(self.grpo) if self.grpo else {}
        given = options.get("generation_kwargs")
        own = given if isinstance(given, dict) else {}
        return {name: own.get(name, options.get(name, default)) for name, default in vars(Sampling()).items()}

    @property
    def taught(self) -> Reasoning | None:
        """The reasoning of the demonstrations; None without an SFT phase."""
        return self.args.reasoning if self.sft else None

    def settings(self) -> dict[str, Any]:
        """The settings that run.json records: the flags, and what the evaluation needs."""
        return {
            "kind": self.kind,
            "argv": self.argv,
            "machine": dict(self.machine),
            "systems": self.args.systems,
            "model": self.args.model,
            "reasoning": self.taught,
            "seed": self.config.seed,
            "eval_states": self.args.eval_states,
            "eval_seed": self.args.eval_seed,
            "reward_version": self.reward_version,
            "sampling": self.sampling,
            "load_in_4bit": self.args.load_in_4bit,
            "max_completion_length": self.grpo.max_completion_length if self.grpo else None,
        }


def parse(kind: str, argv: Sequence[str], begun: Mapping[str, Any] | None = None) -> Job:
    """Parses the flags of ``train_sft`` or ``train_grpo``.

    Args:
        kind: "sft" or "grpo".
        argv: the flags.
        begun: `Job.machine` of the run that is resumed; None for a new run.

    Raises:
        ValueError: a flag is unknown, or a value is invalid.
    """
    machine = hardware(begun)
    if kind == "sft":
        args, config = _parse((RunArguments, SFTConfig), kind, argv, machine)
        return Job(kind, list(argv), args, config, None, machine)
    args, config = _parse((GRPOArguments, GRPOConfig), kind, argv, machine)
    job = Job(kind, list(argv), args, None, config, machine)
    if job.start is None:
        job.sft = _sft_phase(args, config.seed, machine)
    return job


def _sft_phase(args: GRPOArguments, seed: int, machine: Mapping[str, Any]) -> SFTConfig:
    """The configuration of the SFT phase in ``train_grpo``: preset, then ``--sft-config``, then ``--sft-steps``."""
    argv = ["--model", args.model, "--seed", str(seed)]
    argv += ["--config", args.sft_config] if args.sft_config else []
    argv += ["--max_steps", str(args.sft_steps)] if args.sft_steps is not None else []
    return _parse((RunArguments, SFTConfig), "sft", argv, machine)[1]


def preset(model: str, phase: str) -> dict[str, Any]:
    """The default options for a phase ("sft" or "grpo") and a model."""
    name = f"tiny_{phase}" if is_tiny(model) else phase
    if name == "tiny_sft" and model != tiny_model.NAME:
        name = "tiny_finetune_sft"
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


class _OneLineParser(TrlParser):
    """Raises usage errors instead of printing every option of TRL's configuration."""

    def error(self, message: str) -> NoReturn:
        if found := re.match(r"argument (--[\w-]+).*: Truthy value expected: got (.*) but expected", message):
            folder = f": the run's folder goes with --output-dir {found[2]}" if found[1] == "--resume" else ""
            raise ValueError(f"{found[1]} is yes or no, not {found[2]!r}{folder}")
        raise ValueError(f"{message} (--help lists the flags)")


def _parse(dataclasses: Any, phase: str, argv: Sequence[str], machine: Mapping[str, Any]) -> tuple[Any, Any]:
    parser = _OneLineParser(dataclasses, prog=f"python -m llm_agent.train_{phase}")
    defaults = preset(_flag(argv, "--model") or BASE, phase)
    # A preset's activation_checkpointing would override the option's old name, which the user may have given.
    if any(_flag(argv, f"--gradient{sign}checkpointing") is not None for sign in "_-"):
        defaults.pop("activation_checkpointing", None)
    parser.set_defaults_with_config(output_dir="", **machine, **defaults)
    words = _with_settings_joined(_with_preset_paths(argv, phase))
    try:
        args, config, unknown = parser.parse_args_and_config(words, return_remaining_strings=True)
    except json.JSONDecodeError as error:  # an option in braces
        raise ValueError(f"{error.doc} is not JSON: {error.msg}") from None
    except ZeroDivisionError:  # from TRL's own arithmetic
        raise ValueError("--num_generations, --steps_per_generation and batch sizes must be at least 1") from None
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no flag or option {unknown[0]}.{hint} (--help-all lists them all)")
    return args, config


def _with_preset_paths(argv: Sequence[str], phase: str) -> list[str]:
    """The flags with a preset's name after ``--config`` replaced by its path."""
    given = _flag(argv, "--config")
    if given is None:
        return list(argv)
    words = []
    for word in argv:  # TrlParser reads --config FILE, but not --config=FILE
        words += ["--config", word.removeprefix("--config=")] if word.startswith("--config=") else [word]
    words[words.index("--config") + 1] = str(find_config(given, phase))
    return words


def _with_settings_joined(argv: Sequence[str]) -> list[str]:
    """The flags with every ``--set`` in one, after those of ``--config``: TrlParser would keep only the last."""
    config = _flag(argv, "--config")
    configured = (read_config(find_config(config)).get("set") or []) if config else []
    settings = [configured] if isinstance(configured, str) else list(configured)
    words, rest = [], iter(argv)
    for word in rest:
        if word == "--set":
            settings.append(next(rest, ""))
        elif word.startswith("--set="):
            settings.append(word.removeprefix("--set="))
        else:
            words.append(word)
    return [*words, "--set", *settings] if settings else words


def _flag(argv: Sequence[str], name: str) -> str | None:
    """A flag's value, from the flags or from ``--config``, before parsing: the defaults depend on it."""
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    config = None if name == "--config" else _flag(argv, "--config")
    return read_config(find_config(config)).get(name.removeprefix("--")) if config else None


def find_config(name: str, phase: str = "grpo") -> Path:
    """The file that ``--config`` names: a path, or a preset of the package (``qwen3-4b``).

    Raises:
        ValueError: there is no such file or preset; the message names the most similar preset.
    """
    stem = name.replace("-", "_")
    for path in (Path(name), CONFIGS / f"{stem}.yaml", CONFIGS / f"{stem}_{phase}.yaml"):
        if path.is_file():
            return path
    presets = [preset.stem.replace("_", "-") for preset in sorted(CONFIGS.glob("*.yaml"))]
    near = difflib.get_close_matches(Path(name).stem.replace("_", "-"), presets, n=1, cutoff=0.4)
    hint = f" Did you mean the preset {near[0]}?" if near else ""
    raise ValueError(f"there is no config {name}.{hint}")


def read_config(path: Path) -> dict[str, Any]:
    """Reads a YAML file of flags and options.

    Raises:
        ValueError: there is no such file, or it is not a YAML mapping.
        OSError: the file cannot be read.
    """
    if not path.exists():
        raise ValueError(f"there is no config {path}")
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(config or {}, dict):
        raise ValueError(f"{path} must contain NAME: VALUE, one per line, not a {type(config).__name__}")
    return config or {}
