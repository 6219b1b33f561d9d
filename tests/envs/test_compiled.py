"""Compiled loops against the numpy code that they are made from."""

import sys

import gymnasium as gym
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from control_envs import REWARDS, SYSTEMS, env_id, format_completion, sample_states, score_completions
from control_envs.dynamics.compiled import fused, packed, padded

pytest.importorskip("numba")


def pair(name, **settings):
    """The batched environment stepped by numpy, and compiled."""
    make = {"num_envs": 5, "vectorization_mode": "vector_entry_point", **settings}
    return gym.make_vec(env_id(name), **make), gym.make_vec(env_id(name), **make, compiled=True)


@pytest.mark.parametrize("version", REWARDS)
@pytest.mark.parametrize("name", SYSTEMS)
def test_compiled_environments_do_what_the_others_do(name, version):
    plain, compiled = pair(name, reward_version=version)
    plain.action_space.seed(0)
    np.testing.assert_array_equal(plain.reset(seed=1)[0], compiled.reset(seed=1)[0])
    for _ in range(SYSTEMS[name].horizon + 3):  # into the trajectories after
        actions = plain.action_space.sample()
        a, b = plain.step(actions), compiled.step(actions)
        np.testing.assert_allclose(a[0], b[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-9, atol=1e-9)
        assert a[2].tolist() == b[2].tolist()
        assert a[4].keys() == b[4].keys()
        for key in a[4].get("metrics", {}):
            assert a[4]["metrics"][key].dtype == b[4]["metrics"][key].dtype
            np.testing.assert_allclose(a[4]["metrics"][key], b[4]["metrics"][key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_compiled_scores_are_the_scores(name):
    system = SYSTEMS[name]
    rng = np.random.default_rng(0)
    plans = rng.uniform(*(1.2 * system.u_bounds.T), size=(70, system.horizon, system.m))
    texts = [*map(format_completion, plans[:-1]), "no plan"]
    x0 = sample_states(system, 70)
    a, b = (score_completions(system, x0, texts, compiled=compiled) for compiled in (False, True))
    np.testing.assert_allclose(a.total, b.total, rtol=1e-12)
    np.testing.assert_allclose(a.trajectory.x, b.trajectory.x, rtol=1e-9, atol=1e-12)
    for key, values in vars(a.metrics).items():
        np.testing.assert_allclose(values, getattr(b.metrics, key), rtol=1e-9, atol=1e-12, err_msg=key)
    assert score_completions(system, x0[:0], [], compiled=True).total.shape == (0,)
    assert score_completions(system, x0[:1], [""], compiled=True).total.tolist() == [-10]


def test_diverged_trajectories_are_clamped_alike():
    system = SYSTEMS["van_der_pol"].replace(x_bounds=60.0, x0_bounds=50.0, dt=0.3)
    x0 = system.sample_x0(np.random.default_rng(0), 20)
    texts = [format_completion(np.full((system.horizon, 1), 5.0))] * 20
    a, b = (score_completions(system, x0, texts, compiled=compiled) for compiled in (False, True))
    assert np.abs(a.trajectory.x).max() == 6e7  # some do diverge
    np.testing.assert_array_equal(a.trajectory.x, b.trajectory.x)
    np.testing.assert_allclose(a.metrics.cost, b.metrics.cost)


def everything(pair, k):
    """All operations that can be compiled, in one function."""
    a, b = pair
    chosen = np.select([a < -1, a < 1], [b, np.full(np.shape(a), 2.0)], np.sqrt(np.abs(a)))
    near = np.logical_or(a <= b, a > k)
    return (
        chosen,
        near,
        np.minimum(a, b),
        np.maximum(b, a),
        (np.where(a >= b, a / b, -b), np.remainder(a, 3.0) ** 2 - k),
    )


NUMBERS = st.floats(allow_subnormal=False)


@settings(deadline=None, max_examples=200)
@given(arrays.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 9)), elements=NUMBERS), st.integers(-3, 3))
def test_any_numbers_give_the_same_bits(rows, k):
    """Infinities and NaN among them."""
    with np.errstate(all="ignore"):
        expected = packed(everything(tuple(rows), k))
    found = COMPILED(packed(tuple(rows)), k)
    width = rows.shape[1]
    assert found.shape == (6, padded(width))
    np.testing.assert_array_equal(found[:, :width], expected[:, :width])


COMPILED = fused(everything, (0, 0), 0)


def test_functions_of_math_are_numpys_up_to_rounding():
    x = np.linspace(-0.9, 0.9, 41)
    names = (
        "exp",
        "expm1",
        "log1p",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "arcsin",
        "arccos",
        "arctan",
        "square",
    )

    def functions(rows):
        (x,) = rows
        return (*(getattr(np, name)(x) for name in names), np.arctan2(x, 0.3), np.hypot(x, 2.0), np.log(np.abs(x) + 1))

    found = fused(functions, (0,))(packed((x,)))[:, : len(x)]
    np.testing.assert_allclose(found, np.array(functions((x,))), rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("bad", [np.sort, lambda x: x if x > 0 else -x, np.add.reduce])
def test_what_cannot_be_compiled_is_reported(bad):
    with pytest.raises(TypeError, match="cannot be compiled"):
        fused(lambda rows: (bad(rows[0]),), (0,))


def test_without_numba_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    system = SYSTEMS["double_integrator"].replace(horizon=2)
    with pytest.raises(ImportError, match=r"numba is not installed: run  pip install -e '.*\[fast\]'"):
        score_completions(system, [[0.1, 0.1]], ["<CONTROLS>0, 0</CONTROLS>"], compiled=True)
