"""The studies of `python -m llm_agent.study`: what each compares, as the flags of the training commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_envs import REWARDS
from llm_agent.credit import CREDITS
from llm_agent.laws import REASONINGS

ALL_TOKENS = ["--top_entropy_quantile", "1.0"]
PLAIN_ADAM = ["--adam_epsilon", "1e-8"]
SFT_STEPS, GRPO_STEPS = 500, 200  # of the presets for a pretrained tiny model
# Tokens of a problem and its answer in each style of reasoning: equal compute is equal steps times tokens.
_TOKENS = {"none": 62, "brief": 66, "waypoints": 86, "states": 316}


@dataclass(frozen=True)
class Options:
    """What every study can be told.

    Attributes:
        systems: names of plants.
        start: the model that training starts from.
        steps: training steps of the stage that is compared (GRPO, or SFT where that is all); None for the preset's.
    """

    systems: list[str]
    start: str
    steps: int | None = None

    @property
    def limit(self) -> list[str]:
        """The flags that say how many steps."""
        return ["--max_steps", str(self.steps)] if self.steps else []


@dataclass(frozen=True)
class Variant:
    """One row of a study: a name, and the flags of ``train_grpo`` (or ``train_sft``) beside the seed and the folder."""

    name: str
    flags: list[str]
    kind: str = "grpo"


@dataclass(frozen=True)
class Study:
    """A question, and the variants whose comparison answers it."""

    question: str
    variants: Callable[[Options], list[Variant]]


def _each(options: Options, choices: dict[str, list[str]]) -> list[Variant]:
    """Each choice on each plant, all of them GRPO from the same start."""
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
    rate = [*ALL_TOKENS, *PLAIN_ADAM, "--learning_rate", "3e-5"]
    return _each(options, {**decision, **{f"{c}, all tokens": ["--credit", c, *rate] for c in CREDITS}})


def _curriculum(options: Options) -> list[Variant]:
    return _each(options, {"whole box": [], "growing box": ["--curriculum", "0.5"]})


def _choices(options: Options) -> list[Variant]:
    return _each(
        options,
        {
            "as chosen": [],
            "all tokens": ALL_TOKENS,
            "all tokens, plain Adam, lr 1e-4": [*ALL_TOKENS, *PLAIN_ADAM, "--learning_rate", "1e-4"],
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
    # What a model without any format has to learn lies in every token, and in no law yet.
    whole = [*ALL_TOKENS, *PLAIN_ADAM, "--learning_rate", "1e-3", "--min_p", "0", "--patience", "0"]
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
            share = str(round(steps * _TOKENS["brief"] / _TOKENS[style]))
            flags = ["--system", system, "--model", "tiny", "--reasoning", style, "--max_steps", share]
            # One teacher: with laws at random, a plan that does not state its law could only be their average.
            found.append(Variant(f"{system}-{style}", [*flags, "--demonstrations", "expert"], "sft"))
    return found


STUDIES = {
    "recipe": Study(
        "Does GRPO improve on its SFT: from scratch, from a pretrained model, after four times as long an SFT?", _recipe
    ),
    "errors": Study("What should demonstrations teach about a model's own errors (from scratch)?", _errors),
    "rewards": Study("Which reward version teaches most, by measures that no version owns?", _rewards),
    "credit": Study("Does crediting each token with what came after it help?", _credit),
    "curriculum": Study("Does it pay to begin with easy initial states?", _curriculum),
    "choices": Study("What decides whether GRPO learns: the preset with one thing changed at a time.", _choices),
    "zero-shot": Study("What does GRPO do without SFT?", _zero_shot),
    "reasoning": Study("Does writing the law, or the states to come, make plans better at equal compute?", _reasoning),
    "specialists": Study("One model for all plants, or one for each?", _specialists),
    "transfer": Study("Does a plant's model help to learn another plant (--start: a run on the other)?", _transfer),
}
