"""A policy's text is whatever it is: it never raises, never hangs, and has a documented verdict and reward."""

import subprocess
import sys
import time
import typing
from pathlib import Path

import numpy as np
import pytest

from control_envs import REWARDS, format_completion, format_prompt, get_system, parse_completion, score_completions
from control_envs.text import MAX_CHARS, Verdict, approximate_format_reward, exact_format_reward
from control_envs.text.batch_parser import parse_completions

PLANT = get_system("double_integrator")
FIFTY = ", ".join(["0.10"] * 50)
GOOD = f"<REASONING>so</REASONING><CONTROLS>{FIFTY}</CONTROLS>"
PROMPT = format_prompt(PLANT, [0.4, -0.2])
VERDICTS = set(typing.get_args(Verdict))


def answer(body):
    return GOOD.replace(FIFTY, body)


def first(number):
    """An answer whose first number is that text."""
    return answer(number + FIFTY[4:])


NAMED = {
    "empty": ("", "missing_tags"),
    "end of text only": ("<eos>", "missing_tags"),
    "no tags": (FIFTY, "missing_tags"),
    "numbers in prose": ("I would push with 1.5, then 2.", "missing_tags"),
    "wrong case": (GOOD.lower(), "missing_tags"),
    "reversed tags": (f"</CONTROLS>{FIFTY}<CONTROLS>", "missing_tags"),
    "never closed": (f"<CONTROLS>{FIFTY}", "ok"),
    "never closed, a number short": (f"<CONTROLS>{FIFTY[6:]}", "missing_tags"),
    "a thought without end": ("<think>" + GOOD + GOOD, "missing_tags"),
    "thoughts only": ("<think>" * 10_000, "missing_tags"),
    "tag in full width": (GOOD.replace("<", "\uff1c"), "missing_tags"),
    "nested tags": (f"<CONTROLS>{GOOD}</CONTROLS>", "duplicate_answer"),
    "the answer twice": (GOOD + GOOD, "duplicate_answer"),
    "the prompt echoed, then the answer": (PROMPT + GOOD, "duplicate_answer"),
    "the prompt echoed": (PROMPT, "not_a_number"),
    "nothing between the tags": (answer(""), "empty"),
    "blanks between the tags": (answer(" \t\r\n"), "empty"),
    "49 numbers": (answer(FIFTY[6:]), "wrong_count"),
    "51 numbers": (answer(FIFTY + ", 0.10"), "wrong_count"),
    "rows of one": (answer(FIFTY.replace(",", ";")), "ok"),
    "rows of another plant": (answer("; ".join(["0.10, 0.10"] * 25)), "not_a_number"),
    "nan": (first("nan"), "non_finite"),
    "inf": (first("-inf"), "non_finite"),
    "1e999": (first("1e999"), "non_finite"),
    "minus zero": (first("-0"), "ok"),
    "plus": (first("+1.0"), "ok"),
    "no digit before the point": (first(".5"), "ok"),
    "no digit after the point": (first("5."), "ok"),
    "exponent": (first("1e-2"), "ok"),
    "underscore": (first("1_000"), "not_a_number"),
    "hexadecimal": (first("0x1F"), "not_a_number"),
    "fraction": (first("1/2"), "not_a_number"),
    "full-width digits": (first("\uff11"), "not_a_number"),
    "Arabic digits": (first("\u0661\u0662"), "not_a_number"),
    "U+2212 minus": (first("\u22121.0"), "ok"),
    "en dash": (first("\u20131.0"), "not_a_number"),
    "units": (first("1.0 N"), "not_a_number"),
    "a decimal comma and a line break": (answer("0,10\n" * 25), "not_a_number"),
    "decimal commas": (answer(FIFTY.replace("0.10", "0,10")), "wrong_count"),
    "NUL": (first("0.1\x00"), "not_a_number"),
    "surrogate": (first("0.1\ud800"), "not_a_number"),
    "right-to-left mark": (first("\u200f0.1"), "not_a_number"),
    "no-break space": (first("\u00a00.1"), "not_a_number"),
    "code": (first("__import__('os').abort()"), "not_a_number"),
    "10 MB of digits": (answer("1" * 10_000_000), "too_long"),
    "100,000 brackets": ("[" * 100_000, "missing_tags"),
    "brackets for numbers": (answer("[" * 90_000), "not_a_number"),
}


@pytest.mark.parametrize(("text", "verdict"), NAMED.values(), ids=NAMED)
def test_each_has_its_verdict_and_its_reward(text, verdict):
    assert parse_completion(text, 50).verdict == verdict
    assert parse_completions([text, GOOD], 50).verdicts == [verdict, "ok"]
    for version, spec in REWARDS.items():
        (total,) = score_completions(PLANT, np.array([[0.4, -0.2]]), [text], version).total
        if verdict == "ok":
            assert spec.bounds[0] <= total <= spec.bounds[1]
        else:
            assert total == (spec.wrong_count if verdict == "wrong_count" else spec.no_answer)


def mutants(rng, count):
    """Texts near to answers: pieces of them cut out, doubled, moved, and replaced by what parsers dislike."""
    pieces = ["<CONTROLS>", "</CONTROLS>", "</REASONING>", ",", ";", "-", "+", ".", "e9", "nan", "inf", "1e999", "_"]
    pieces += ["\x00", "\ud800", "\u200f", "\uff11", "\u0661", "\u2212", " ", "\n", "9" * 45, "[", "None", "0.10, "]
    pieces += ["]", "(", ")", "```", "**", "<think>", "</think>", "</thought>"]
    starts = [GOOD, answer("1, 2"), answer("0.10, " * 60), PROMPT, FIFTY, "", format_completion(np.ones((50, 1)), "k")]
    for _ in range(count):
        text = starts[rng.integers(len(starts))]
        for _ in range(rng.integers(1, 4)):
            i, j = np.sort(rng.integers(0, len(text) + 1, 2))
            j = min(j, i + 40)
            put = (pieces[rng.integers(len(pieces))], text[i:j] * 2, "")[rng.integers(3)]
            text = text[:i] + put + text[j:]
        yield text


def test_a_hundred_thousand_mutants_are_read_and_scored():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        texts = list(mutants(rng, 5_000))
        parsed = parse_completions(texts, 50)
        seen |= set(parsed.verdicts)
        assert np.isfinite(parsed.controls).all()
        assert parsed.valid.tolist() == [verdict == "ok" for verdict in parsed.verdicts]
        scores = score_completions(PLANT, np.tile([0.4, -0.2], (len(texts), 1)), texts)
        assert np.isfinite(scores.total).all()
        assert scores.total[parsed.valid].min() > scores.total[~parsed.valid].max()
        for text in texts[:200]:
            alone = parse_completion(text, 50)
            assert alone.verdict == parsed.verdicts[texts.index(text)]
            exact_format_reward(text, REWARDS["1.3"].format)
            approximate_format_reward(text, REWARDS["1.3"].format)
    assert seen >= VERDICTS - {"too_long"}


HOSTILE = ["[", "1,", "1", "1e", "+-", "nan,", " ", "1.", "<CONTROLS", "</CONTROLS", "0.10, ", ";", "\u0661"]
HOSTILE += [
    "<think>",
    "</think>",
    "<think></thought>",
    "<think></think>",
    "\n",
    "1 ",
    "1\n",
    "0,1\n",
    "\u2212",
    "`",
    "*",
]
HOSTILE += ["[]", "[1], ", "[1 2]\n", "(", "1,1.", " ,", "[1"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_reading_takes_time_in_proportion_to_the_length(unit):
    """Side by side, in one run: four times the text may take four times as long, with room for noise, not sixteen."""

    def seconds(length):
        text = answer(unit * (length // len(unit)))
        assert len(text) <= MAX_CHARS
        best = np.inf
        for _ in range(5):
            start = time.process_time()
            parse_completion(text, 50)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(96_000) < 10 * seconds(24_000) + 1e-3


@pytest.mark.slow
def test_a_fuzzer_finds_nothing(tmp_path):
    pytest.importorskip("atheris")
    for i, seed in enumerate(("0.10, -1.20, 3.00", "1,2;3,4;5e1,nan", GOOD)):
        (tmp_path / str(i)).write_text(seed)
    script = Path(__file__).with_name("fuzz_parser.py")
    # A process inherits its parent's peak memory, and a test process may need more than libFuzzer's limit of 2 GB.
    flags = ["-max_total_time=20", "-rss_limit_mb=8192"]
    done = subprocess.run([sys.executable, script, *flags, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
