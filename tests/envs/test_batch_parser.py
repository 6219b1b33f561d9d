"""Reading many completions at once gives what reading each alone gives."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from control_envs import format_completion, get_system, sample_states, score_completions
from control_envs.text import parse_completion, scoring
from control_envs.text.batch_parser import parse_completions

NUMBERS = st.one_of(
    st.floats(-12, 12).map(lambda v: f"{v:.2f}"),
    st.sampled_from(
        ["-0.00", "0.00", "99.99", "-999.99", "1000.00", "1", "1.5", ".50", "5.", "+1.00", "1e-2", "1.234"]
    ),
    st.sampled_from(["nan", "inf", "-", "--1.00", "1.-0", "1..00", "1.00 2.00", "", " ", "1_0.00", "０.50", "1.0a"]),
)
BETWEEN = st.sampled_from([", ", ",", ",  ", " , ", ";", "\n", ",\n", " ", "], [", "</think>"])
AROUND = st.sampled_from(["{}", "[{}]", "[[{}]]", "```\n{}\n```", "{},", "**{}**"])
TEXTS = st.one_of(
    st.lists(NUMBERS, min_size=0, max_size=4).flatmap(
        lambda numbers: BETWEEN.map(lambda b: f"<REASONING></REASONING><CONTROLS>{b.join(numbers)}</CONTROLS>")
    ),
    st.lists(st.floats(-9, 9).map(lambda v: f"{v:.2f}"), min_size=3, max_size=3).map(
        lambda numbers: f"<CONTROLS>{', '.join(numbers)}</CONTROLS>"
    ),
    st.lists(NUMBERS, min_size=3, max_size=3).flatmap(
        lambda numbers: st.tuples(AROUND, BETWEEN).map(
            lambda a: f"<think><CONTROLS></think><CONTROLS>{a[0].format(a[1].join(numbers))}</CONTROLS>"
        )
    ),
    st.text(max_size=30),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, max_size=8), st.booleans())
@example(["<CONTROLS>1.00, 2.00, 3.00</CONTROLS>", "<CONTROLS> 1.00, 2.00,3.00</CONTROLS>"], False)
@example(["<CONTROLS>1.00, 2.00, 3.00,</CONTROLS>", "<CONTROLS>, 2.00, 3.00</CONTROLS>"], False)
@example(["<CONTROLS>1.00, 2.00, 3.00,</CONTROLS>", "<CONTROLS>, 2.00, 3.00</CONTROLS>"], True)
@example(["</CONTROLS>1.00, 2.00, 3.00<CONTROLS>"], False)
def test_a_batch_reads_as_its_texts_alone(texts, strict):
    batch = parse_completions(texts, 3, strict=strict)
    alone = [parse_completion(text, 3, strict=strict) for text in texts]
    assert batch.verdicts == [p.verdict for p in alone]
    plans = [p.controls for p in alone if p.controls is not None]
    assert batch.valid.tolist() == [p.controls is not None for p in alone]
    assert batch.controls.shape == (len(plans), 3, 1)
    assert all(
        np.array_equal(a, b) and np.array_equal(np.signbit(a), np.signbit(b))
        for a, b in zip(batch.controls, plans, strict=True)
    )


def test_every_plain_number_reads_as_python_reads_it():
    numbers = [f"{sign}{i / 100:.2f}" for i in range(0, 100_000, 7) for sign in ("", "-")]
    text = f"<CONTROLS>{', '.join(numbers[:12_000])}</CONTROLS>"
    batch = parse_completions([text], 12_000)
    assert batch.controls.ravel().tolist() == [float(n) for n in numbers[:12_000]]


def test_chunks_change_nothing(monkeypatch):
    system = get_system("double_integrator")
    rng = np.random.default_rng(0)
    x0 = sample_states(system, 23)
    texts = [format_completion(p) for p in rng.uniform(-4, 4, (23, 50, 1))]
    texts[5], texts[22] = "?", "<CONTROLS>1.00</CONTROLS>"
    whole = score_completions(system, x0, texts)
    monkeypatch.setattr(scoring, "CHUNK", 5)
    parts = score_completions(system, x0, texts)
    assert np.array_equal(whole.total, parts.total)
    assert whole.verdicts == parts.verdicts
    assert whole.trajectory == parts.trajectory
    assert whole.metrics.cost.tolist() == parts.metrics.cost.tolist()
    assert whole.terms.keys() == parts.terms.keys()


def test_several_controls_are_read_one_by_one():
    batch = parse_completions(["<CONTROLS>1.00, 2.00; 3.00, 4.00</CONTROLS>", "<CONTROLS>1.00, 2.00</CONTROLS>"], 2, 2)
    assert batch.verdicts == ["ok", "wrong_count"]
    assert batch.controls.tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
