"""Answers as language models write them: thoughts, fences, brackets, other separators, missing tags, conversations."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from control_envs import REWARDS, format_completion, parse_completion
from control_envs.text import (
    FORMAT_TAGS,
    MAX_CHARS,
    THOUGHT_TAGS,
    approximate_format_reward,
    exact_format_reward,
    format_controls,
    is_exact_format,
    parse_completions,
    without_thoughts,
)
from llm_agent.integrations.trl_environment import ControlEnvironment
from llm_agent.training.rewards import completion_text, reward_functions

SPEC = REWARDS["1.3"].format
LIST = "-1.62, 0.50, 3.00"
PLAN = [[-1.62], [0.5], [3.0]]
TAGGED = "<REASONING>so</REASONING><CONTROLS>{}</CONTROLS>"
CLEAN = TAGGED.format(LIST)
ECHO = "I answer <REASONING>...</REASONING><CONTROLS>3 numbers separated by commas</CONTROLS>"
BOLD = "<REASONING>so</REASONING>\n**<CONTROLS>**{}**</CONTROLS>**"


def said(content, **message):
    return {"role": "assistant", "content": content, **message}


PART = {"type": "text", "text": CLEAN[:50]}, {"type": "text", "text": CLEAN[50:]}
PICTURE, THOUGHT = {"type": "image", "url": "..."}, {"type": "reasoning", "text": CLEAN}

# what the model wrote, its verdict, and whether it is in the exact format
TABLE = {
    "the template opened the thought": (f"Well. {ECHO}. Now.</think>\n\n{CLEAN}", "ok", True),
    "a thought with the format in it": (f"<think>{ECHO}</think>{CLEAN}", "ok", True),
    "a thought with a draft in it": (f"<thinking>{CLEAN}\nNo.</thinking>{CLEAN}", "ok", True),
    "a thought of a server": (f"<reasoning_content>{ECHO}</reasoning_content>{CLEAN}", "ok", True),
    "two thoughts": (f"<thought>{ECHO}</thought><think>{ECHO}</think>{CLEAN}", "ok", True),
    "a thought without end": (f"<think>{ECHO} {CLEAN}", "missing_tags", False),
    "a draft, then another answer": (f"{CLEAN}\nWait, better:\n{CLEAN}", "duplicate_answer", False),
    "a draft, a thought, then another answer": (f"{CLEAN}<think>No.</think>{CLEAN}", "duplicate_answer", False),
    "a code fence": (TAGGED.format(f"\n```\n{LIST}\n```\n"), "ok", False),
    "a code fence with its language": (TAGGED.format(f"```json\n[{LIST}]\n```"), "ok", False),
    "a code fence around the answer": (f"```\n{CLEAN}\n```", "ok", False),
    "brackets": (TAGGED.format(f"[{LIST}]"), "ok", False),
    "round brackets": (TAGGED.format(f"( {LIST} )"), "ok", False),
    "a row vector": (TAGGED.format(f"[[{LIST}]]"), "ok", False),
    "a column vector": (TAGGED.format("[[-1.62], [0.50], [3.00]]"), "ok", False),
    "a trailing comma": (TAGGED.format(f"{LIST},"), "ok", False),
    "a trailing semicolon": (TAGGED.format(f"{LIST} ;\n"), "ok", False),
    "one number a line": (TAGGED.format("\n-1.62\n0.50\n3.00\n"), "ok", False),
    "one number a line, with commas": (TAGGED.format("\n-1.62,\n0.50,\n3.00\n"), "ok", True),
    "two lines of numbers with commas": (TAGGED.format("-1.62, 0.50\n3.00"), "ok", False),
    "numbers with blanks between": (TAGGED.format("-1.62 0.50  3.00"), "ok", False),
    "numbers with semicolons between": (TAGGED.format("-1.62; 0.50; 3.00"), "ok", False),
    "bold tags": (BOLD.format(f" {LIST} "), "ok", False),
    "tags in backticks": (BOLD.replace("**", "`").format(LIST), "ok", False),
    "U+2212 for minus": (CLEAN.replace("-", "\u2212"), "ok", True),
    "stopped at the closing tag": (CLEAN.removesuffix("</CONTROLS>"), "ok", False),
    "stopped at the closing tag, after a thought": (f"<think>{ECHO}</think><CONTROLS>[{LIST}]\n", "ok", False),
    "stopped before": (f"<CONTROLS>{LIST[:-6]}", "missing_tags", False),
    "stopped at the closing tag, and words": (f"<CONTROLS>{LIST}\nDone.", "missing_tags", False),
    "no content": ([said(None, reasoning_content=CLEAN)], "missing_tags", False),
    "content in parts": ([said([THOUGHT, PICTURE, *PART])], "ok", True),
    "parts that are plain texts": ([said([CLEAN[:50], CLEAN[50:]])], "ok", True),
    "no message": ([], "missing_tags", False),
    "no message of the assistant": ([{"role": "user", "content": CLEAN}], "missing_tags", False),
    "a tool's message after the answer": ([said(CLEAN), {"role": "tool", "content": "ok"}], "ok", True),
    "two messages": ([said(CLEAN), {"role": "tool", "content": "?"}, said("Never mind.")], "missing_tags", False),
    "no completion": (None, "missing_tags", False),
}


@pytest.mark.parametrize(("completion", "verdict", "exact"), TABLE.values(), ids=TABLE)
def test_what_the_model_wrote(completion, verdict, exact):
    text = completion_text(completion)
    parsed = parse_completion(text, 3)
    assert parsed.verdict == verdict
    assert verdict != "ok" or parsed.controls.tolist() == PLAN
    assert is_exact_format(text) == exact
    _, exact_reward, approximate_reward = reward_functions("1.3")
    assert exact_reward([""], [completion]) == [exact_format_reward(text, SPEC)] == [1.0 * exact]
    assert approximate_reward([""], [completion]) == [approximate_format_reward(text, SPEC)]


TWO = "[[1, 2], [3, 4]]"
ROWS = ["1, 2; 3, 4", "1 2; 3 4", "1 2\n3 4", "1, 2\n3, 4", "1, 2;\n3, 4;\n", "[1, 2; 3, 4]", TWO, f"```\n{TWO}\n```"]
ROWS += [
    "[1, 2], [3, 4]",
    "(1, 2)\n(3, 4),",
    "[[1. 2.]\n [3. 4.]]",
    "[\n  [1,\n   2],\n  [3,\n   4],\n]",
    "((1,2),(3,4))",
]


@pytest.mark.parametrize("body", ROWS)
def test_rows_of_two_controls(body):
    assert parse_completion(TAGGED.format(body), 2, 2).controls.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "body", ["1, 2,\n3, 4", "1 2 3 4", "1\n2\n3\n4", "1, 2 3, 4", "[[1, 2], 3, 4]", "0,1 0,2; 0,3 0,4", "1. 3\n2. 4"]
)
def test_other_rows_are_refused(body):
    assert parse_completion(TAGGED.format(body), 2, 2).verdict in ("wrong_count", "not_a_number")


# Each can mean two things, or nothing.
REFUSED = ["0,1; 0,2", "0,1\n0,2", "1, 2; 3, 4", "[[1, 2], [3, 4]]", "1, 2 3, 4", "0. 1, 2, 3, 4", "1/2, 2, 3, 4"]
REFUSED += [
    "0x1, 2, 3, 4",
    "1_0, 2, 3, 4",
    "1 N, 2 N, 3 N, 4 N",
    "u = 1, 2, 3, 4",
    "u1: 1\nu2: 2\nu3: 3\nu4: 4",
    "1, 2, ..., 4",
]
REFUSED += [
    "{1, 2, 3, 4}",
    "[1, 2, 3, 4",
    "[[[1, 2, 3, 4]]]",
    "\u20131, 2, 3, 4",
    "~1, 2, 3, 4",
    "1,, 2, 3, 4",
    "* 1\n* 2\n* 3\n* 4",
]
REFUSED += ["1\u00a02\u00a03\u00a04", "`1`, `2`, `3`, `4`", "1. 0.5\n2. 0.6", "- 1\n- 2\n- 3\n- 4"]


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_one_list_is_refused(body):
    assert parse_completion(TAGGED.format(body), 4).verdict == "not_a_number"


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[1] == "ok"])
def test_the_strict_reading_takes_only_the_requested_format(name):
    text = completion_text(TABLE[name][0])
    plain = {"a code fence around the answer", "one number a line, with commas"}
    plain |= {"content in parts", "parts that are plain texts", "a tool's message after the answer"}
    assert (parse_completion(text, 3, strict=True).verdict == "ok") == (name in plain)
    assert parse_completions([text], 3, strict=True).valid.tolist() == [name in plain]


# -- what holds for every text -------------------------------------------------------------------------------

PIECES = ["<CONTROLS>", "</CONTROLS>", "<REASONING>", "</REASONING>", "<think>", "</think>", "</thought>", "<thinking>"]
PIECES += [
    LIST,
    LIST,
    "1",
    "-",
    "\u2212",
    ",",
    ";",
    " ",
    "\n",
    "[",
    "]",
    "(",
    ")",
    "```",
    "json",
    "**",
    "nan",
    "e",
    "\ud800",
]
TEXTS = st.one_of(
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=25).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=6).map(lambda p: f"{''.join(p[:3])}{CLEAN}{''.join(p[3:])}"),
    st.lists(st.sampled_from(PIECES), max_size=6).map(
        lambda p: TAGGED.format(f"{''.join(p[:3])}{LIST}{''.join(p[3:])}")
    ),
)


def published_exact(text):
    """The exact format as it was judged before there was a tolerant reading."""
    if any(text.count(tag) != 1 for tag in FORMAT_TAGS):
        return False
    between, _, rest = text.partition("</REASONING>")[2].partition("<CONTROLS>")
    body, _, after = rest.partition("</CONTROLS>")
    return bool(body.strip()) and not between.strip() and not after.strip()


def published_approximate(text):
    return sum(f if text.count(tag) == 1 else SPEC.missing for tag, f in zip(FORMAT_TAGS, SPEC.found, strict=True))


@settings(max_examples=500, deadline=None)
@given(TEXTS, st.integers(1, 3))
@example("<think></REASONING></think>" + CLEAN, 1)
@example("<think>" + CLEAN, 1)
def test_what_the_strict_reading_takes_keeps_its_controls_and_rewards(text, m):
    strict, tolerant = parse_completion(text, 3, m, strict=True), parse_completion(text, 3, m)
    assert (tolerant.controls is None) == (tolerant.verdict != "ok")
    if strict.verdict == "ok":
        assert np.array_equal(strict.controls, tolerant.controls)
        assert is_exact_format(text) == published_exact(text)
        assert approximate_format_reward(text, SPEC) == published_approximate(text)
    elif strict.verdict in ("empty", "non_finite", "wrong_count") and without_thoughts(text) == text:
        assert tolerant.verdict == strict.verdict  # the tolerant reading is not tried; after a thought it is
        assert tolerant.verdict == parse_completion("<think></think>" + text, 3, m).verdict


THOUGHTS = st.sampled_from(THOUGHT_TAGS).flatmap(
    lambda tag: st.sampled_from([f"{ECHO}</{tag}>", f"<{tag}>{ECHO} {CLEAN}</{tag}>", f"<{tag}>Hm, <think> [</{tag}>"])
)
WRAPPED = [
    st.sampled_from(["{}", "[{}]", "({})", "[{},]"]),
    st.sampled_from(["{}", "{},", "{} ;", "{}\n"]),
    st.sampled_from(["{}", "```\n{}\n```", "```python\n{}\n```", "\n`{}`\n", "** {} **"]),
    st.sampled_from([TAGGED, BOLD, "Here:\n```\n<CONTROLS>{}</CONTROLS>\n```\nGood?", "<CONTROLS>{}"]),
]


@settings(max_examples=500, deadline=None)
@given(
    arrays(np.float64, (3, 1), elements=st.floats(-99, 99)),
    st.one_of(st.just(""), THOUGHTS),
    st.sampled_from([", ", ",\n", " , ", "; ", "\n", " ", "\t", " \r\n"]),
    st.sampled_from(["-", "\u2212"]),
    st.tuples(*WRAPPED),
)
def test_a_wrapped_answer_keeps_its_controls(plan, thought, separator, minus, wrappers):
    text = format_controls(plan).replace(", ", separator).replace("-", minus)
    for wrapper in wrappers:
        text = wrapper.format(text)
    parsed = parse_completion(thought + text, 3)
    assert parsed.verdict == "ok"
    assert np.array_equal(parsed.controls, parse_completion(format_completion(plan), 3).controls)


@settings(max_examples=300, deadline=None)
@given(
    arrays(np.float64, (4, 3), elements=st.floats(-99, 99)),
    st.one_of(st.just(""), THOUGHTS),
    st.sampled_from([", ", ",", " ", "\t"]),
    st.sampled_from([("", "; ", ""), ("", "\n", ""), ("[", "], [", "]"), ("[[", "],\n [", "]]"), ("(", ")\n(", ")")]),
    st.tuples(*WRAPPED[1:]),
)
def test_wrapped_rows_keep_their_controls(plan, thought, blank, row, wrappers):
    rows = [blank.join(row.split(", ")) for row in format_controls(plan).split("; ")]
    text = row[0] + row[1].join(rows) + row[2]
    for wrapper in wrappers:
        text = wrapper.format(text)
    parsed = parse_completion(thought + text, 4, 3)
    assert parsed.verdict == "ok"
    assert np.array_equal(parsed.controls, parse_completion(format_completion(plan), 4, 3).controls)


# -- thoughts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("", ""),
        ("a", "a"),
        ("a<think>b</think>c", "ac"),
        ("<think>a</think>b<thinking>c</thinking>d", "bd"),
        ("a</think>b", "b"),
        ("a</think>b</think>c", "c"),
        ("a<think>b", "a"),
        ("<think>a<think>b</think>c", "c"),  # a thought that names its own tag
        ("<think>a</thought>b</think>c", "c"),
        ("<think>a<think>b</think>c</think>d", "d"),
        ("a</think>b<think>c</think>d<think>e", "bd"),
        ("<Think>a</Think>", "<Think>a</Think>"),
        ("<think/>a< think>", "<think/>a< think>"),
    ],
)
def test_thoughts_are_cut_out(text, rest):
    assert without_thoughts(text) == rest


def test_thoughts_by_other_names():
    text = "<plan>a</plan>b<think>c</think>"
    assert without_thoughts(text, ["plan"]) == "b<think>c</think>"
    assert without_thoughts(text, []) == text


@pytest.mark.parametrize(
    "unit", ["<think>", "</think>", "<think></think>", "<thinking></think>", "<", "<think>a</think>b"]
)
def test_cutting_thoughts_takes_time_in_proportion_to_the_length(unit):
    def seconds(length):
        text, best = unit * (length // len(unit)), np.inf
        for _ in range(5):
            start = time.process_time()
            without_thoughts(text)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(MAX_CHARS) < 10 * seconds(MAX_CHARS // 4) + 1e-3


# -- conversations and rows ----------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "text", "type"]), inner, max_size=4),
        st.tuples(st.sampled_from(["assistant", "tool"]), inner).map(lambda m: {"role": m[0], "content": m[1]}),
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_completion_raises(completion):
    assert isinstance(completion_text(completion), str)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"system": ["double_integrator"]},
        {"x0": [[0.4, -0.2]]},
        {"system": ["double_integrator"], "x0": [None]},
        {"system": [None], "x0": [[0.4, -0.2]]},
    ],
)
def test_rows_without_a_problem_are_named_in_one_line(columns):
    control, exact, approximate = reward_functions("1.3")
    with pytest.raises(ValueError, match="columns system and x0") as error:
        control(prompts=[""], completions=[CLEAN], **columns)
    assert "\n" not in str(error.value)
    assert exact(prompts=[""], completions=[CLEAN], **columns) == [1.0]
    assert approximate(prompts=[""], completions=[CLEAN], **columns) == [pytest.approx(0.5)]


def test_an_environment_needs_its_rows_initial_state():
    with pytest.raises(ValueError, match="columns system and x0"):
        ControlEnvironment().reset(prompt="...")
    ControlEnvironment().reset()
