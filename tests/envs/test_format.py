import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from control_envs import SYSTEMS, format_completion, format_prompt, get_reward, get_system, parse_completion
from control_envs.text import MAX_CHARS, approximate_format_reward, exact_format_reward, format_controls

TAGGED = "<REASONING>so</REASONING><CONTROLS>{}</CONTROLS>"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "missing_tags"),
        ("1.0, 2.0", "missing_tags"),  # numbers in prose
        ("<controls>1, 2</controls>", "missing_tags"),  # tags are case-sensitive
        ("</CONTROLS>1, 2<CONTROLS>", "missing_tags"),  # reversed
        ("<CONTROLS>1, 2, 3", "missing_tags"),  # never closed, and another count
        ("<CONTROLS>1, 2 and", "missing_tags"),
        ("<CONTROLS>1, 2</CONTROLS> or <CONTROLS>3, 4</CONTROLS>", "duplicate_answer"),
        ("<CONTROLS><CONTROLS>1, 2</CONTROLS></CONTROLS>", "duplicate_answer"),  # nested
        (TAGGED.format(""), "empty"),
        (TAGGED.format(" \n "), "empty"),
        (TAGGED.format("1, two"), "not_a_number"),
        (TAGGED.format("1_0, 2"), "not_a_number"),
        (TAGGED.format("１, ２"), "not_a_number"),  # full-width digits
        (TAGGED.format("١, ٢"), "not_a_number"),  # Arabic digits
        (TAGGED.format("–1, 2"), "not_a_number"),  # en dash
        (TAGGED.format("—1, 2"), "not_a_number"),  # em dash
        (TAGGED.format("1,, 2"), "not_a_number"),
        (TAGGED.format(", 1, 2"), "not_a_number"),
        (TAGGED.format("1, 2,,"), "not_a_number"),
        (TAGGED.format("[1, 2"), "not_a_number"),
        (TAGGED.format("[1, 2)"), "not_a_number"),
        (TAGGED.format("{1, 2}"), "not_a_number"),
        (TAGGED.format("1, 2; 3, 4"), "not_a_number"),  # rows of two, but this plant has one control
        (TAGGED.format("__import__('os').system('true')"), "not_a_number"),
        (TAGGED.format("1" * 41 + ", 2"), "not_a_number"),
        (TAGGED.format("1\x00, 2"), "not_a_number"),
        (TAGGED.format("nan, 2"), "non_finite"),
        (TAGGED.format("1, -Infinity"), "non_finite"),
        (TAGGED.format("1e999, 2"), "non_finite"),
        (TAGGED.format("1"), "wrong_count"),
        (TAGGED.format("1, 2, 3"), "wrong_count"),
        (TAGGED.format("1, 2") + " " * MAX_CHARS, "too_long"),
        ("<CONTROLS>1, 2", "ok"),  # never closed
        (TAGGED.format("−1, 2"), "ok"),  # U+2212 minus
        (TAGGED.format("1, 2,"), "ok"),
        (TAGGED.format("[1, 2]"), "ok"),
        (TAGGED.format("1 2"), "ok"),
        (TAGGED.format("1; 2"), "ok"),
        (TAGGED.format("1, 2"), "ok"),
        (TAGGED.format("\n +1.0 ,\t-0 "), "ok"),
        (TAGGED.format(".5, 5."), "ok"),
        (TAGGED.format("1e-2, 1E2"), "ok"),
        ("no reasoning <CONTROLS>1, 2</CONTROLS> and more", "ok"),
    ],
)
def test_verdicts(text, verdict):
    parsed = parse_completion(text, horizon=2)
    assert parsed.verdict == verdict
    assert (parsed.controls is not None) == (verdict == "ok")


def test_rows_of_several_controls():
    assert parse_completion(TAGGED.format("1, 2; 3, 4; 5, 6"), 3, 2).controls.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert parse_completion(TAGGED.format("1, 2; 3; 5, 6"), 3, 2).verdict == "wrong_count"
    assert parse_completion(TAGGED.format("1, 2, 3, 4, 5, 6"), 3, 2).verdict == "wrong_count"
    assert parse_completion(TAGGED.format("1, 2; nan, 4; 5, 6"), 3, 2).verdict == "non_finite"


@given(
    plan=st.tuples(st.integers(1, 60), st.integers(1, 3)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(-1e6, 1e6))
    ),
    decimals=st.integers(0, 8),
)
def test_written_numbers_are_read_back(plan, decimals):
    parsed = parse_completion(format_completion(plan, "because", decimals), *plan.shape)
    assert parsed.verdict == "ok"
    assert np.array_equal(parsed.controls, [[float(f"{v:.{decimals}f}") for v in row] for row in plan])
    assert format_controls(parsed.controls, decimals) == format_controls(plan, decimals)


@settings(max_examples=500)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(["<CONTROLS>", "</CONTROLS>", "</REASONING>", ",", "1.5", "-", "e", "nan", "\ud800"]),
        ),
        max_size=30,
    ).map("".join)
)
def test_no_text_raises(text):
    parsed = parse_completion(text, 3)
    assert (parsed.controls is None) == (parsed.verdict != "ok")
    exact_format_reward(text, get_reward("1.3").format)
    approximate_format_reward(text, get_reward("1.3").format)


@pytest.mark.parametrize("body", ["[" * 90_000, "1," * 45_000, "1" * 90_000, " " * 90_000 + "x", "1e" * 45_000])
def test_long_texts_take_linear_time(body):
    """A pattern that backtracked would take minutes here."""
    assert parse_completion(TAGGED.format(body), 50).verdict != "ok"


def test_prompt(system):
    x0 = system.sample_x0(np.random.default_rng(0))
    prompt = format_prompt(system, x0)
    assert prompt.isascii()
    assert prompt.isprintable()
    for name, value in zip(system.state_names, x0, strict=True):
        assert f"{name}={value:.2f}" in prompt
    assert f"{system.horizon} " in prompt
    # Echoing the prompt is no answer: its example holds words where numbers belong.
    assert parse_completion(prompt, system.horizon, system.m).verdict == "not_a_number"


def test_the_double_integrators_prompt_word_for_word():
    assert format_prompt(get_system("double_integrator"), [0.4, -0.2]) == (
        "Control a double integrator (x1' = x2, x2' = u) from position=0.40, velocity=-0.20 to the origin in 5.00 s "
        "with 50 controls, one every 0.10 s. Keep |position| <= 1, |velocity| <= 1, |u| <= 3. Answer "
        "<REASONING>...</REASONING><CONTROLS>50 numbers separated by commas</CONTROLS>"
    )


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_prompt_contains_the_whole_state(a, b):
    prompt = format_prompt(get_system("double_integrator"), [a, b])
    position, velocity = prompt.partition("position=")[2].split(" to the origin")[0].split(", velocity=")
    assert (float(position), float(velocity)) == (a, b)


def test_settings_show_in_the_prompt():
    prompt = format_prompt(get_system("van_der_pol", mu=2.5, dt=0.05, horizon=7, u_bounds=(-1, 2)), [0, 0])
    assert "mu = 2.5" in prompt
    assert "in 0.35 s with 7 controls, one every 0.05 s" in prompt
    assert "-1 <= u <= 2" in prompt
    with pytest.raises(ValueError, match="2 finite numbers"):
        format_prompt(get_system("van_der_pol"), [0, float("nan")])


@pytest.mark.parametrize(
    ("text", "exact", "approximate"),
    [
        (TAGGED.format("1"), 1.0, 0.5),
        (TAGGED.format("1") + "\n", 1.0, 0.5),
        (TAGGED.format("1") + "bye", 0.0, 0.5),
        ("<CONTROLS>1</CONTROLS>", 0.0, -0.2),
        ("", 0.0, -1.5),
        (TAGGED.format("1") * 2, 0.0, -1.5),
        ("<CONTROLS>1</CONTROLS></REASONING>", 0.0, 0.5),
        (TAGGED.format("[1]"), 0.0, 0.5),
        (TAGGED.format("one"), 0.0, 0.5),
        (TAGGED.format("−1"), 1.0, 0.5),
        ("<think>" + TAGGED.format("numbers") + "</think>" + TAGGED.format("1"), 1.0, 0.5),
        ("<think>" + TAGGED.format("numbers"), 0.0, -1.5),
    ],
)
def test_format_rewards(text, exact, approximate):
    spec = get_reward("1.3").format
    assert exact_format_reward(text, spec) == exact
    assert approximate_format_reward(text, spec) == pytest.approx(approximate)


def test_every_plants_own_plan_is_ok():
    for system in SYSTEMS.values():
        plan = np.tile(system.u_bounds[:, 0], (system.horizon, 1))
        assert parse_completion(format_completion(plan), system.horizon, system.m).verdict == "ok"


@pytest.mark.parametrize("x0", ["abc", [0.1], [0.1, float("nan")], None, [[0.1, 0.2]]])
def test_a_prompt_from_no_state_names_x0(x0):
    with pytest.raises(ValueError, match=r"^x0 must be"):
        format_prompt(get_system("double_integrator"), x0)
