"""The studies of `python -m llm_agent.study`: the variants that each compares, as flags of the training commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_envs import REWARDS
from llm_agent.data.reasoning import REASONINGS
from llm_agent.training.credit import CREDITS

__all__ = ["STUDIES", "TOKENS", "Options", "Study", "Variant"]

ALLTOKENS = ["--top_entropy_quantile", "1.0"]
PLAIN_ADAM = ["--adam_epsilon", "1e-8"]
SFT_STEPS, GRPO_STEPS = 500, 200  # in the presets for a pretrained tiny model
# Tokens of a prompt and its completion with each style of reasoning. Compute is steps times tokens.
TOKENS = {"none": 62, "brief": 66, "waypoints": 86, "states": 316, "working": 512}


@dataclass(frozen=True)
class Options:
    """The options of every study.

    Attributes:
        systems: names of plants.
        start: the model that training starts from.
        steps: training steps of the phase that is compared (GRPO, or SFT in studies of SFT); None for the preset's.
    """

    systems: list[str]
    start: str
    steps: int | None = None

    @property
    def limit(self) -> list[str]:
        """The flags that set the number of steps."""
        return ["--max_steps", str(self.steps)] if self.steps else []


@dataclass(frozen=True)
class Variant:
    """One row of a study.

    Attributes:
        name: its name in tables and folders.
        flags: flags of the training command, without the seed and the folder.
        kind: "grpo" for ``train_grpo``, "sft" for ``train_sft``.
    """

    name: str
    flags: list[str]
    kind: str = "grpo"


@dataclass(frozen=True)
class Study:
    """A question, and the variants whose comparison answers it."""

    question: str
    variants: Callable[[Options], list[Variant]]


def _each(options: Options, choices: dict[str, list[str]]) -> list[Variant]:
    """Each choice on each plant, as GRPO from the same start."""
    common = ["--sft-from", options.start, *options.limit]
    return [
        Variant(f"{system}-{name}", ["--system", system, *common, *flags])
        for system in options.systems
        for name, flags in choices.items()
    ]


def _recipe(options: Options) -> list[Variant]:
    found = []
    for system in options.systems:
        found.append(Variant(f"{system}-scratch", ["--system", system, "--model", "tiny", *options.limit]))
        pretrained = ["--system", system, "--model", options.start, *options.limit]
        found.append(Variant(f"{system}-pretrained", pretrained))
        found.append(Variant(f"{system}-long", [*pretrained, "--sft-steps", str(4 * SFT_STEPS)]))
    return found


def _errors(options: Options) -> list[Variant]:
    kinds = {"clean": ["0"], "ignored": ["0.15"], "answered": ["0.05", "--errors", "answered"]}
    return [
        Variant(f"{system}-{name}", ["--system", system, "--model", "tiny", *options.limit, "--perturbation", *flags])
        for system in options.systems
        for name, flags in kinds.items()
    ]


def _rewards(options: Options) -> list[Variant]:
    choices = {version: ["--reward-version", version] for version in REWARDS}
    return _each(options, {**choices, "1.3 at temperature 1.5": ["--temperature", "1.5"]})


def _credit(options: Options) -> list[Variant]:
    decision = {f"{credit}, decision": ["--credit", credit] for credit in CREDITS}
    rate = [*ALLTOKENS, *PLAIN_ADAM, "--learning_rate", "3e-5"]
    return _each(options, {**decision, **{f"{c}, all tokens": ["--credit", c, *rate] for c in CREDITS}})


def _curriculum(options: Options) -> list[Variant]:
    return _each(options, {"whole box": [], "growing box": ["--curriculum", "0.5"]})


def _choices(options: Options) -> list[Variant]:
    return _each(
        options,
        {
            "as chosen": [],
            "all tokens": ALLTOKENS,
            "all tokens, plain Adam, lr 1e-4": [*ALLTOKENS, *PLAIN_ADAM, "--learning_rate", "1e-4"],
            "plain Adam, lr 3e-4": [*PLAIN_ADAM, "--learning_rate", "3e-4"],
            "lr times 3": ["--learning_rate", "3e-3"],
            "min_p 0.05": ["--min_p", "0.05"],
            "beta 0.2": ["--beta", "0.2"],
        },
    )


def _specialists(options: Options) -> list[Variant]:
    every = ",".join(options.systems)
    alone = ["--model", options.start, *options.limit]
    found = [Variant(f"{s}-specialist", ["--system", s, *alone]) for s in options.systems]
    # Equal budgets: the universal model takes as many steps as the specialists together.
    steps = {"--sft-steps": SFT_STEPS, "--max_steps": options.steps or GRPO_STEPS}
    longer = [word for flag, count in steps.items() for word in (flag, str(count * len(options.systems)))]
    return [*found, Variant("universal", ["--system", every, "--model", options.start, *longer])]


def _transfer(options: Options) -> list[Variant]:
    rate = ["--max_steps", str(options.steps or 1500), "--learning_rate", "5e-3"]
    starts = {"scratch": "tiny", "transferred": options.start}
    return [
        Variant(f"{system}-{name}", ["--system", system, "--model", model, *rate], "sft")
        for system in options.systems
        for name, model in starts.items()
    ]


def _zero_shot(options: Options) -> list[Variant]:
    # An untrained model has to learn the format, which is in every token and not only in those of the gains.
    whole = [*ALLTOKENS, *PLAIN_ADAM, "--learning_rate", "1e-3", "--min_p", "0", "--patience", "0"]
    models = {"pretrained": [options.start], "fresh": ["tiny", *whole]}
    return [
        Variant(f"{s}-{name}", ["--system", s, "--zero-shot", *options.limit, "--model", *model])
        for s in options.systems
        for name, model in models.items()
    ]


def _reasoning(options: Options) -> list[Variant]:
    steps, found = options.steps or 1500, []
    for system in options.systems:
        for style in REASONINGS:
            share = str(round(steps * TOKENS["brief"] / TOKENS[style]))
            flags = ["--system", system, "--model", "tiny", "--reasoning", style, "--max_steps", share]
            # LQR only: with random gains, a model that does not state them could only learn the average plan.
            found.append(Variant(f"{system}-{style}", [*flags, "--demonstrations", "expert"], "sft"))
    return found


STUDIES = {
    "recipe": Study(
        "Does GRPO improve on SFT: from scratch, from a pretrained model, after four times as many SFT steps?", _recipe
    ),
    "errors": Study("What should demonstrations teach about the model's own errors (from scratch)?", _errors),
    "rewards": Study(
        "Which reward version trains the best model, by measures that do not depend on a version?", _rewards
    ),
    "credit": Study("Does it help to credit each token with the reward after it?", _credit),
    "curriculum": Study("Does it help to begin with easy initial states?", _curriculum),
    "choices": Study(
        "Which settings decide whether GRPO learns? The preset, with one setting changed at a time.", _choices
    ),
    "zero-shot": Study("What does GRPO do without SFT?", _zero_shot),
    "reasoning": Study(
        "Are plans better at equal compute if the model first writes the feedback gains, or future states?", _reasoning
    ),
    "specialists": Study("One model for all plants, or one for each?", _specialists),
    "transfer": Study(
        "Does a model of one plant help to learn another (--start: a run on the other plant)?", _transfer
    ),
}
