"""The tiny model's tokenizer: one token for each number on the control grid, and bytes for any other text.

A regular expression cuts the text into pieces. A piece that is in the vocabulary is one token; any other piece is
spelled in bytes, so no text is unknown. The vocabulary holds

* the phrases of the answer, and of the prompt: whole phrases for a plant's own settings, shorter pieces for other
  settings,
* control values on the two-decimal grid, alone ("-1.62") and with the separator that follows ("-1.62, ", and "-1.62; "
  after a row of several controls). The first control, which is large and matters most, is then the same kind of token
  as those after it; only the last control differs,
* gains on the one-decimal grid ("5.9"), which demonstrations state in their reasoning, and whole numbers ("50"),
* fine parts of states, which reasoning writes as sums: "0.0041+0.38, " is "0.0041+" and "0.38, ",
* numbers with the label that they have in the working of a trajectory: " p 0.0040", "x2 0.0041+".
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from control_envs import SYSTEMS, format_prompt
from control_envs.systems import System
from control_envs.text import CONTROLS, DECIMALS, END_CONTROLS, END_REASONING, REASONING
from llm_agent.data.component_sum import FINE_STEPS, STATE_DECIMALS
from llm_agent.data.reasoning import GAIN_DECIMALS, Reasoning, format_gains
from llm_agent.data.trajectory_text import TRAJECTORY
from llm_agent.data.working import ARGUMENT, CHANGE, FROM_TENTH, LABELS, PART, REMAINDER, SUM
from llm_agent.data.working_text import WORKING, component_label
from llm_agent.models.chat import BARE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

__all__ = [
    "EOS",
    "MAX_GAIN",
    "MAX_INTEGER",
    "MAX_TOKENS",
    "NUMBER",
    "PAD",
    "answer_begins",
    "build_tokenizer",
    "byte_alphabet",
    "longest_reasoning",
    "number_families",
    "number_tokens",
    "phrases",
    "vocabulary",
]

PAD, EOS = "<pad>", "<eos>"
MAX_GAIN = 16.0
MAX_INTEGER = 100
MAX_TOKENS = 4608  # of prompt and completion; the longest registered plant's trajectory with its working takes 4,400
NUMBER = "#"  # stands for a number in the form of a token
_ANSWER = f"{END_REASONING}{CONTROLS}"
_LIST, _ROW, _SUM = ", ", "; ", "+"
_VALUE = re.compile(rf"-?\d+\.\d{{{DECIMALS}}}")
_FINE = re.compile(rf"-?0\.\d{{{STATE_DECIMALS}}}")
# Numbers in the working of registered plants:
_LARGEST = {ARGUMENT: 4.0, REMAINDER: 1.0, SUM: 2.5, CHANGE: 1.2, FROM_TENTH: 1.2}
_GAIN = re.compile(rf"-?\d+\.\d{{{GAIN_DECIMALS}}}")
_STANDALONE = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


def phrases(system: System) -> list[str]:
    """One plant's phrases: the prompt's text between its numbers, and the fixed text of the answer."""
    own_settings = _VALUE.split(format_prompt(system, np.zeros(system.n)))
    other = system.replace(**dict.fromkeys(system.params, 0.5))  # prompts may omit a parameter of 1
    other_settings = _STANDALONE.split(format_prompt(other, np.zeros(system.n)))
    first, *gains, _ = _GAIN.split(format_gains(np.zeros((system.m, system.n))))
    states = [before + word for before in ("; ", REASONING) for word in (TRAJECTORY, WORKING)]
    reasoning = [REASONING, REASONING + first, *gains, *states]
    return [*own_settings, *other_settings, *reasoning, _ANSWER, END_CONTROLS]


@cache
def _grid_values(several: bool = False) -> list[str]:
    """Every control value and initial state on the grid, as text in ascending order.

    Args:
        several: only of plants with several controls.
    """
    plants = [s for s in SYSTEMS.values() if s.m > 1 or not several]
    limit = max((float(np.abs(bounds).max()) for s in plants for bounds in (s.u_bounds, s.x0_bounds)), default=-1.0)
    return _signed(limit)


def _signed(limit: float) -> list[str]:
    """Every number of the control grid in [-limit, limit], as text in ascending order."""
    magnitudes = _magnitudes(limit, DECIMALS)
    return [f"-{v}" for v in magnitudes[:0:-1]] + magnitudes


def _magnitudes(limit: float, decimals: int) -> list[str]:
    """Every number with that many decimals in [0, limit], as text."""
    return [f"{i / 10**decimals:.{decimals}f}" for i in range(round(limit * 10**decimals) + 1)]


def vocabulary() -> dict[str, float | None]:
    """Every token except the bytes, and the number it denotes (None for text)."""
    text = dict.fromkeys(phrase for system in SYSTEMS.values() for phrase in phrases(system))
    numbers = {v + suffix: float(v) for suffix in ("", _LIST) for v in _grid_values()}
    numbers |= {v + _ROW: float(v) for v in _grid_values(several=True)}
    gains = {v: float(v) for v in _magnitudes(MAX_GAIN, GAIN_DECIMALS)}
    whole = {str(i): float(i) for i in range(MAX_INTEGER + 1)}
    fine = {v + _SUM: value for v, value in _fine_parts().items()}
    return {**text, **numbers, **gains, **whole, **fine, **_labelled()}


def _labelled() -> dict[str, float]:
    """The numbers of a trajectory's working, with their labels."""
    numbers = {f" {PART} {v}": value for v, value in _fine_parts().items()}
    for i in range(max(system.n for system in SYSTEMS.values())):
        before = "" if i else " "  # the others follow ", "
        numbers |= {f"{before}{component_label(i)} {v}{_SUM}": value for v, value in _fine_parts().items()}
    for label, largest in _LARGEST.items():
        numbers |= {f" {label} {v}": float(v) for v in _signed(largest)}
    return numbers


def _fine_parts() -> dict[str, float]:
    """The fine parts of states, and their values as a share of the coarse part's step."""
    steps = range(-FINE_STEPS // 2, FINE_STEPS // 2)
    return {f"{i / 10**STATE_DECIMALS:.{STATE_DECIMALS}f}": i / FINE_STEPS for i in steps}


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Builds the tokenizer; its ``save_pretrained`` writes an ordinary Hugging Face folder."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = [token for token, value in vocabulary().items() if value is None]
    literal = "|".join(re.escape(t) for t in sorted(text, key=len, reverse=True))
    labelled = rf" ?x\d+ -?\d+\.\d+\+| (?:{'|'.join(LABELS)}) -?\d+\.\d+"
    pieces = Regex(rf"{literal}|{labelled}|-?\d+\.\d+(?:[,;] (?=-?\d|x\d)|\+)?|[A-Za-z]+|\s+")
    byte_tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [_as_bytes(token) for token in vocabulary()]
    ids = {token: i for i, token in enumerate(dict.fromkeys([PAD, EOS, *byte_tokens, *words]))}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pieces, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_TOKENS,
        chat_template=BARE,
    )


def number_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the number tokens, and the numbers they denote."""
    ids_of = tokenizer.get_vocab()
    numbers = [(ids_of[_as_bytes(t)], value) for t, value in vocabulary().items() if value is not None]
    ids, values = zip(*numbers, strict=True)
    return np.array(ids), np.array(values)


def number_families(tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Token ids of the number tokens in order of value, by form: "#" for a bare number, "#, " with the separator that
    follows, "#+" for fine parts of states, " p #" with a label.

    Reads the given tokenizer's vocabulary, because a trained model keeps the tokenizer that it was built with.
    """
    families: dict[str, list[tuple[float, int]]] = {}
    for token, i in tokenizer.get_vocab().items():
        bare = token.removesuffix(_as_bytes(_LIST)).removesuffix(_as_bytes(_ROW)).removesuffix(_SUM)
        number = bare.rpartition(_as_bytes(" "))[2]
        if _VALUE.fullmatch(number) or _FINE.fullmatch(number):
            form = token.replace(number, NUMBER).replace(_as_bytes(" "), " ")
            families.setdefault(form, []).append((float(number), i))
    return {form: [i for _, i in sorted(family)] for form, family in sorted(families.items())}


def answer_begins(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of the token between reasoning and answer."""
    return tokenizer.get_vocab()[_ANSWER]


def longest_reasoning(tokenizer: PreTrainedTokenizerBase) -> Reasoning:
    """The longest reasoning that the tokenizer has tokens and room for; older ones have less."""
    known, fine = tokenizer.get_vocab(), next(iter(_fine_parts()))
    if fine + _SUM not in known:
        return "waypoints"
    return "working" if _as_bytes(f" {ARGUMENT} {0:.{DECIMALS}f}") in known else "states"


@cache
def _printable() -> dict[int, str]:
    """GPT-2's printable character for each byte (transformers' ``bytes_to_unicode``)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


@cache
def byte_alphabet() -> dict[str, int]:
    """The byte for each character of a byte-level token."""
    return {character: byte for byte, character in _printable().items()}


def _as_bytes(text: str) -> str:
    return "".join(_printable()[b] for b in text.encode())
