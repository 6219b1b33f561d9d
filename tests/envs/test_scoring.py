import numpy as np
import pytest

from control_envs import REWARDS, format_completion, sample_states, score, score_completions, simulate
from control_envs.systems.initial_states import SPLITS, split_of


def plans(system, count, seed=0):
    rng = np.random.default_rng(seed)
    return np.round(rng.uniform(*(1.2 * system.u_bounds.T), size=(count, system.horizon, system.m)), 2)


@pytest.mark.parametrize("version", REWARDS)
def test_each_completion_is_scored_from_its_own_state(system, version):
    x0, u = sample_states(system, 6), plans(system, 6)
    texts = [format_completion(p) for p in u]
    texts[1], texts[4] = "nothing", "<CONTROLS>1</CONTROLS>"
    scores = score_completions(system, x0, texts, version)
    assert scores.verdicts == ["ok", "missing_tags", "ok", "ok", "wrong_count", "ok"]
    for i in (0, 2, 3, 5):
        alone = score(simulate(system, x0[i], u[i]), version)
        assert scores.total[i] == alone.total
        assert all(scores.terms[name][i] == alone.terms[name] for name in alone.terms)
    assert (scores.total[1], scores.total[4]) == (REWARDS[version].no_answer, REWARDS[version].wrong_count)
    assert scores.trajectory.x.shape[0] == scores.valid.sum() == 4


def test_terms_add_up_to_the_total_before_the_floor(system):
    x0 = sample_states(system, 20)
    scores = score_completions(system, x0, [*map(format_completion, plans(system, 19)), "?"])
    np.testing.assert_allclose(np.maximum(sum(scores.terms.values())[:19], 30), scores.total[:19])
    assert sum(scores.terms.values())[19] == scores.total[19] == -10


def test_no_text_at_all_and_no_valid_text(system):
    assert score_completions(system, np.empty((0, system.n)), []).total.shape == (0,)
    assert score_completions(system, sample_states(system, 2), ["", ""]).total.tolist() == [-10, -10]


def test_shapes_are_checked(system):
    with pytest.raises(ValueError, match="2 completions need one row"):
        score_completions(system, np.zeros((3, system.n)), ["", ""])


def test_splits_are_disjoint_whatever_the_seeds(system):
    seen = {split: set() for split in SPLITS}
    for split in SPLITS:
        for seed in range(3):
            states = sample_states(system, 3000, split, seed)
            assert np.all(split_of(states) == SPLITS.index(split))
            seen[split] |= {tuple(x) for x in states}
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]


def test_split_sizes(system):
    states = system.sample_x0(np.random.default_rng(0), 20_000)
    shares = np.bincount(split_of(states), minlength=3) / len(states)
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.02)


def test_a_longer_sample_begins_with_the_shorter(system):
    assert np.array_equal(sample_states(system, 5000)[:100], sample_states(system, 100))
    a, b = sample_states(system, 100, seed=0), sample_states(system, 100, seed=1)
    assert len({tuple(x) for x in a} & {tuple(x) for x in b}) < 10
    with pytest.raises(ValueError, match="no split 'tset'"):
        sample_states(system, 1, "tset")
