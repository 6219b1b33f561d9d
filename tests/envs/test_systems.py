import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from control_envs import SYSTEMS, System, get_system, register_system, simulate
from control_envs.rewards.running import RunningTrajectories


def random_points(system, count=64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(*system.x_bounds.T, size=(count, system.n))
    u = rng.uniform(*system.u_bounds.T, size=(count, system.m))
    return x, u


def test_plants_are_discovered():
    assert {"double_integrator", "van_der_pol"} <= set(SYSTEMS)
    assert all(name == system.name for name, system in SYSTEMS.items())


def test_rk4_has_order_four(system):
    x, u = random_points(system)

    def rollout(steps):
        coarse = system.replace(dt=0.8 / steps)
        y = x
        for _ in range(steps):
            y = coarse.step(y, u)
        return y

    exact = rollout(512)
    errors = [np.abs(rollout(steps) - exact).max() for steps in (4, 8, 16)]
    if errors[0] < 1e-12:  # RK4 is exact for this plant
        return
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > 3.6), (errors, orders)


def test_double_integrator_is_exact():
    system = get_system("double_integrator")
    generator = np.zeros((3, 3))
    generator[:2, :2] = [[0, 1], [0, 0]]
    generator[:2, 2] = [0, 1]
    phi = scipy.linalg.expm(generator * system.dt)
    x, u = random_points(system)
    np.testing.assert_allclose(system.step(x, u), x @ phi[:2, :2].T + u @ phi[:2, 2:].T, atol=1e-15)


def test_linearisation_against_forward_differences(system):
    for x, u in zip(*random_points(system, 5), strict=True):
        A, B = system.linearise(x, u)
        h = 1e-7
        forward_A = [(system.step(x + h * e, u) - system.step(x, u)) / h for e in np.eye(system.n)]
        forward_B = [(system.step(x, u + h * e) - system.step(x, u)) / h for e in np.eye(system.m)]
        np.testing.assert_allclose(A, np.array(forward_A).T, atol=1e-5)
        np.testing.assert_allclose(B, np.array(forward_B).T, atol=1e-5)


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_batch_shapes(system, batch):
    x = np.zeros((*batch, system.n)) + 0.1
    u = np.zeros((*batch, system.m))
    assert system.step(x, u).shape == x.shape
    trajectory = simulate(system, x, np.zeros((*batch, 7, system.m)))
    assert trajectory.x.shape == (*batch, 8, system.n)
    assert trajectory.u.shape == (*batch, 7, system.m)


def test_a_batch_is_simulated_as_its_rows_alone(system):
    x, _ = random_points(system, 9)
    u = np.random.default_rng(1).uniform(-9, 9, size=(9, 12, system.m))
    together = simulate(system, x, u)
    for i in range(9):
        assert np.array_equal(simulate(system, x[i], u[i]).x, together.x[i])


def test_same_field_on_torch(system):
    torch = pytest.importorskip("torch")
    x, u = random_points(system)
    parts = system.rk4(torch.tensor(x).unbind(-1), torch.tensor(u).unbind(-1), xp=torch)
    np.testing.assert_allclose(torch.stack(parts, -1).numpy(), system.step(x, u), rtol=1e-13, atol=1e-13)


def test_same_field_on_casadi(system):
    ca = pytest.importorskip("casadi")
    xs, us = ca.SX.sym("x", system.n), ca.SX.sym("u", system.m)
    step = ca.Function("step", [xs, us], [ca.vertcat(*system.rk4(ca.vertsplit(xs), ca.vertsplit(us), xp=ca))])
    for x, u in zip(*random_points(system, 8), strict=True):
        np.testing.assert_allclose(np.array(step(x, u)).ravel(), system.step(x, u), rtol=1e-13, atol=1e-13)


@given(seed=st.integers(0, 2**32 - 1), decimals=st.integers(1, 4))
def test_initial_states_equal_their_printed_values(seed, decimals):
    for system in SYSTEMS.values():
        x0 = system.sample_x0(np.random.default_rng(seed), 20, decimals)
        assert np.all(x0 >= system.x0_bounds[:, 0])
        assert np.all(x0 <= system.x0_bounds[:, 1])
        assert all(float(f"{v:.{decimals}f}") == v for v in x0.ravel())


def test_a_state_that_overflows_stays_finite():
    system = get_system("van_der_pol", mu=50.0)
    trajectory = simulate(system, [1.5, 1.5], np.full((50, 1), 5.0))
    assert np.all(np.isfinite(trajectory.x))


def test_more_than_one_control():
    """Three integrators pushed by two controls: nothing assumes m = 1."""
    plant = System(
        name="pair",
        title="a pair",
        equation="x1' = u1, x2' = u2, x3' = x1",
        state_names=("a", "b", "c"),
        control_names=("u1", "u2"),
        vector_field=lambda x, u, xp=None: (u[0], u[1], x[0]),
        x_bounds=1.0,
        u_bounds=[(-1, 1), (-2, 0.5)],
        x0_bounds=0.5,
    )
    A, B = plant.linearise()
    assert A.shape == (3, 3)
    assert B.shape == (3, 2)
    np.testing.assert_allclose(plant.saturate([3.0, 3.0]), [1.0, 0.5])
    assert simulate(plant, np.zeros((4, 3)), np.ones((4, 6, 2))).x.shape == (4, 7, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dt": 0}, "dt must be positive"),
        ({"dt": float("nan")}, "dt must be a finite number"),
        ({"horizon": 0}, "horizon must be a whole number"),
        ({"u_bounds": (1, -1)}, "upside down"),
        ({"u_bounds": [1, 2, 3, 4, 5]}, "u_bounds has shape"),
        ({"x0_bounds": 7.0}, "reach outside x_bounds"),
        ({"Q": [1, 2, 3, 4, 5]}, "Q must be"),
        ({"dt": "abc"}, "dt must be a finite number, not 'abc'"),
        ({"dt": "0.1"}, "dt must be a finite number, not '0.1'"),
        ({"horizon": "a"}, "horizon must be a whole number of at least 1, not 'a'"),
        ({"horizon": float("inf")}, "horizon must be a whole number"),
        ({"horizon": True}, "horizon must be a whole number"),
        ({"x_bounds": "abc"}, "x_bounds must be numbers, not 'abc'"),
        ({"x0_bounds": [[1, 2], [1]]}, "x0_bounds must be numbers"),
        ({"Q": "abc"}, "Q must be numbers, not 'abc'"),
        ({"Q": -1}, "Q must be positive semidefinite, but .* has the eigenvalue -1"),
        ({"R": -1}, "R must be positive definite, but .* has the eigenvalue -1"),
        ({"R": 0}, "R must be positive definite"),
        ({"horzion": 5}, "Did you mean horizon"),
    ],
)
def test_bad_settings_name_themselves(system, changes, said):
    with pytest.raises(ValueError, match=said):
        system.replace(**changes)


PLUGIN = """
from control_envs import System
PLANT = System(name="from_a_plugin", title="a plant", equation="x1' = u", state_names=("x",), control_names=("u",),
               vector_field=lambda x, u, xp=None: (u[0],), x_bounds=1.0, u_bounds=1.0, x0_bounds=0.5)
"""


def test_plants_of_other_packages_are_found_by_their_entry_points(tmp_path):
    """In a process of its own, with a package that is installed there: what can be had is registered, the rest said."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[control_envs.systems]\na = plugin:PLANT\nb = plugin:NOTHING\n")
    code = "import gymnasium as gym, control_envs; print(gym.make('FromAPluginText-v0').reset(seed=0)[0])"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Control a plant (x1' = u) from x=")
    assert "plant b (plugin:NOTHING) is left out" in done.stderr


def test_a_plant_is_registered_once_and_by_a_plain_name(monkeypatch):
    monkeypatch.setattr("control_envs.envs.registration.SYSTEMS", dict(SYSTEMS))
    system = get_system("double_integrator")
    assert register_system(system) is system
    with pytest.raises(ValueError, match="another plant of the name"):
        register_system(system.replace(dt=0.2))
    with pytest.raises(ValueError, match="snake case"):
        register_system(system.replace(name="My Plant"))


def test_weights_are_symmetric_and_see_what_they_may():
    system = get_system("double_integrator")
    with pytest.raises(ValueError, match="Q must be symmetric"):
        system.replace(Q=[[1, 2], [0, 1]])
    assert system.replace(Q=[[1, 1], [1, 1]]).Q.tolist() == [[1, 1], [1, 1]]  # semidefinite is enough
    assert not system.replace(Q=0).Q.any()


@pytest.mark.parametrize("given", [None, 3, ["van_der_pol"]])
def test_a_system_is_a_name_or_a_plant(given):
    with pytest.raises(ValueError, match="system must be a plant's name or a System, not"):
        get_system(given)
    with pytest.raises(ValueError, match="system must be"):
        simulate(given, [0.0, 0.0], [[0.0]])


def test_unknown_plant_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'van_der_pol'"):
        get_system("van_der_pole")
    with pytest.raises(ValueError, match="no setting 'mu'"):
        get_system("double_integrator", mu=1.0)
    with pytest.raises(ValueError, match="mu must be a finite number, not 'abc'"):
        get_system("van_der_pol", mu="abc")
    assert get_system("van_der_pol", mu=2.0).params == {"mu": 2.0}


def test_angles_are_wrapped_and_a_full_turn_is_distance_zero():
    system = get_system("upright_pendulum")
    push = np.full((system.horizon, 1), system.u_bounds[0, 1])
    trajectory = simulate(system, [1.4, 1.9], push)  # falls over, all the way round
    assert np.all(np.abs(trajectory.x[:, 0]) <= np.pi)
    assert np.any(np.diff(trajectory.x[:, 0]) < -np.pi)
    turned = simulate(system, [0.3 - 2 * np.pi, 0.1], push)
    np.testing.assert_allclose(turned.x[1:], simulate(system, [0.3, 0.1], push).x[1:], atol=1e-9)
    stepped = RunningTrajectories(system, np.array([[1.4, 1.9]]))
    for u in push:
        stepped.step(u[None])
    np.testing.assert_allclose(stepped.observation()[0], trajectory.x[-1], atol=1e-9)
    with pytest.raises(ValueError, match="within"):
        system.replace(x_bounds=4.0)
    with pytest.raises(ValueError, match="periodic names"):
        system.replace(periodic=("angel",))
