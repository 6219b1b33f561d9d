"""Batches of equal lengths: every text once, in an order of its own in each epoch."""

import numpy as np
import pytest

pytest.importorskip("torch")

from llm_agent.training.length_order import SimilarLengths


def test_every_text_comes_once_and_batches_are_of_one_length():
    lengths = np.random.default_rng(0).choice([60, 300, 610], 803)
    sampler = SimilarLengths(lengths, 16, seed=1)
    order = list(sampler)
    assert sorted(order) == list(range(len(sampler)))
    spread = [np.ptp(lengths[order[i : i + 16]]) for i in range(0, 800, 16)]
    assert np.count_nonzero(spread) <= 2  # where one length ends and another begins
    kinds = [lengths[order[i]] for i in range(0, 800, 16)]
    assert np.count_nonzero(np.diff(kinds)) > 15


def test_the_order_repeats_with_the_seed_and_changes_with_the_epoch():
    lengths = np.full(100, 300)
    first, second = SimilarLengths(lengths, 8, seed=1), SimilarLengths(lengths, 8, seed=1)
    assert list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(SimilarLengths(lengths, 8, seed=2))
