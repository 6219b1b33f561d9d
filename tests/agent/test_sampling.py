"""Drawing by inversion: the same distribution as torch's own sampling, and nothing else changed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from llm_agent.models.sampling import GreedyBelow, InverseTransform, sample_by_inversion
from llm_agent.models.tiny import build_tiny
from llm_agent.policies.language_model import Sampling


def config(**changes):
    settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 1, "pad_token_id": 0}
    return transformers.GenerationConfig(**{**settings, **changes})


def test_frequencies_are_the_probabilities():
    torch.manual_seed(0)
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    scores = probabilities.log().expand(40_000, 5)
    left = InverseTransform()(torch.empty(0), scores)
    assert torch.equal((left == 0).sum(1), torch.ones(40_000, dtype=torch.long))
    shares = (left == 0).float().mean(0)
    assert shares[1] == 0.0  # what has no probability is never drawn
    np.testing.assert_allclose(shares, probabilities, atol=0.01)


@pytest.mark.parametrize("changes", [{}, {"min_p": 0.5}, {"top_k": 3}, {"temperature": 0.2, "top_p": 0.3}])
def test_generate_draws_as_transformers_draws(changes):
    model, _ = build_tiny()
    model.lm_head.weight.data *= 30  # a distribution with a shape
    prompt = torch.tensor([[7, 8, 9]]).repeat(4000, 1)

    def shares():
        torch.manual_seed(0)
        drawn = model.generate(prompt, generation_config=config(**changes))[:, -1]
        return np.bincount(drawn.numpy(), minlength=model.config.vocab_size) / len(prompt)

    theirs = shares()
    sample_by_inversion(model)
    ours = shares()
    assert np.abs(ours - theirs).sum() / 2 < 0.05 + 0.3 * (len(np.flatnonzero(theirs)) > 50)
    assert len(np.flatnonzero(ours > 0.01)) == pytest.approx(len(np.flatnonzero(theirs > 0.01)), abs=2)


def test_all_else_is_left_alone():
    model, _ = build_tiny()
    prompt = torch.tensor([[7, 8, 9]])
    greedy = model.generate(prompt, generation_config=config(do_sample=False, max_new_tokens=5))
    sample_by_inversion(model)
    once = model.generate
    sample_by_inversion(model)
    assert model.generate is once
    assert torch.equal(model.generate(prompt, generation_config=config(do_sample=False, max_new_tokens=5)), greedy)
    several = model.generate(prompt, generation_config=config(num_return_sequences=3))
    assert several.shape == (3, 4)  # left to transformers
    settings = config(min_p=0.2)
    model.generate(prompt, generation_config=settings)
    assert (settings.do_sample, settings.min_p) == (True, 0.2)
    torch.manual_seed(1)
    first = model.generate(prompt, generation_config=config(max_new_tokens=5))
    torch.manual_seed(1)
    assert torch.equal(model.generate(prompt, generation_config=config(max_new_tokens=5)), first)


def test_greedy_below_samples_only_where_the_model_is_undecided():
    undecided, decided = torch.zeros(8), torch.tensor([5.0, 0, 0, 0, 0, 0, 0, 0])
    left = GreedyBelow(1.5)(torch.empty(0), torch.stack([undecided, decided]))
    assert torch.equal(left[0], undecided)
    assert left[1].isfinite().tolist() == [True] + 7 * [False]


@pytest.mark.parametrize("inversion", [True, False])
def test_generate_knows_greedy_below(inversion, tmp_path):
    model, _ = build_tiny()
    sample_by_inversion(model)
    prompt = torch.tensor([[7, 8, 9]]).repeat(50, 1)
    greedy = model.generate(prompt, generation_config=config(do_sample=False))
    settings = config(greedy_below=100.0, num_beams=1 if inversion else None)
    assert torch.equal(model.generate(prompt, generation_config=settings), greedy)
    free = model.generate(prompt, generation_config=config(greedy_below=0.1))
    assert len(free.unique(dim=0)) > 10
    settings.save_pretrained(tmp_path)  # as a trained model keeps it
    assert Sampling.said_by(transformers.GenerationConfig.from_pretrained(tmp_path)).greedy_below == 100.0
