"""A cache with room to grow holds what transformers' own holds, and generation is the same with it."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from control_envs import format_prompt, get_system, sample_states
from llm_agent.models.growing_cache import LEAST, GrowingLayer, generate_with_room, growing_cache
from llm_agent.models.loading import load_model
from llm_agent.models.tiny import build_tiny


def test_a_layer_holds_what_a_dynamic_layer_holds():
    """Also after rows or tokens have been taken out, and repeated."""
    torch.manual_seed(0)
    ours, theirs = GrowingLayer(), transformers.cache_utils.DynamicLayer()
    changes = {
        40: lambda layer: layer.crop(-7),
        50: lambda layer: layer.batch_select_indices(torch.tensor([2, 0])),
        60: lambda layer: layer.batch_repeat_interleave(2),
        70: lambda layer: layer.reset(),
    }
    rows = 3
    for step in range(3 * LEAST):
        new = torch.randn(2, rows, 4, 1 + step % 3, 8)
        for held, expected in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(held, expected)
        assert ours.get_seq_length() == theirs.get_seq_length()
        if step in changes:
            changes[step](ours)
            changes[step](theirs)
            rows = {50: 2, 60: 4, 70: 3}.get(step, rows)


def test_generation_is_the_same_with_room():
    model, tokenizer = build_tiny()
    system = get_system("double_integrator")
    prompts = [format_prompt(system, x) for x in sample_states(system, 5)]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    settings = {"max_new_tokens": 150, "min_new_tokens": 150, "pad_token_id": 0, "do_sample": False}
    theirs = model.generate(**inputs, **settings)
    generate_with_room(model)
    assert torch.equal(model.generate(**inputs, **settings), theirs)
    given = growing_cache(model.config)
    model.generate(**inputs, past_key_values=given, **settings)
    assert given.get_seq_length() == theirs.shape[1] - 1  # a cache that is given is used


def test_the_tiny_model_is_loaded_with_room():
    model, _ = load_model("tiny-base")
    cache = model.generate(
        torch.tensor([[7, 8, 9]]), max_new_tokens=2, pad_token_id=0, return_dict_in_generate=True
    ).past_key_values
    assert all(isinstance(layer, GrowingLayer) for layer in cache.layers)
