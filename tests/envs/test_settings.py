"""Plants with changed settings by name, as ``--set NAME=VALUE`` makes them."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_envs import SYSTEMS, format_prompt, get_system
from control_envs.systems import get_systems, one_system
from control_envs.systems.settings import parse_name, parse_setting, with_settings


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_name_with_settings_makes_the_plant_again(name):
    (system,) = get_systems(name, ["horizon=7", "dt=0.45"])
    assert system.name == f"{name}(dt=0.45,horizon=7)"
    assert (system.horizon, system.dt) == (7, 0.45)
    assert get_system(system.name) is system  # one name is one object, for caches that go by object
    assert "7 controls, one every 0.45 s" in format_prompt(system, np.zeros(system.n))


@pytest.mark.parametrize("name", SYSTEMS)
def test_settings_that_a_plant_has_already_change_nothing(name):
    system = SYSTEMS[name]
    (same,) = get_systems(name, [f"dt={system.dt}", f"horizon={system.horizon}"])
    assert same is system


def test_a_setting_may_be_a_parameter_bounds_or_weights():
    (system,) = get_systems("van_der_pol", ["mu=1.5", "x_bounds=[[-2,2],[-1.5,1.5]]", "Q=10,1", "x0_bounds=0.4"])
    assert system.params["mu"] == 1.5
    assert system.x_bounds.tolist() == [[-2, 2], [-1.5, 1.5]]
    assert np.array_equal(system.Q, np.diag([10, 1]))
    assert np.array_equal(get_system(system.name).x0_bounds, [[-0.4, 0.4]] * 2)


def test_names_with_settings_are_listed_like_others_and_once():
    names = "van_der_pol(mu=1.5,horizon=20),double_integrator,van_der_pol(horizon=20,mu=1.5)"
    assert [s.name for s in get_systems(names)] == ["van_der_pol(horizon=20,mu=1.5)", "double_integrator"]
    assert [s.name for s in get_systems("van_der_pol(mu=1.5)", ["mu=2"])] == ["van_der_pol(mu=2)"]
    assert len(get_systems("all", ["horizon=20"])) == len(SYSTEMS)


@given(dt=st.floats(0.001, 10), horizon=st.integers(1, 500), low=st.floats(-0.9, -0.01))
def test_names_keep_every_digit(dt, horizon, low):
    settings = {"dt": dt, "horizon": horizon, "x0_bounds": [[low, 0.5], [-0.5, 0.5]]}
    system = with_settings(SYSTEMS["double_integrator"], settings)
    again = get_system(system.name)
    assert (again.dt, again.horizon, again.x0_bounds.tolist()) == (dt, horizon, settings["x0_bounds"])


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_named_error(text):
    for read in (parse_setting, parse_name, get_system, lambda t: get_systems("double_integrator", [t])):
        with suppress(ValueError):
            read(text)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("horizon", "NAME=VALUE"),
        ("horizon=ten", "NAME=VALUE"),
        ("=3", "NAME=VALUE"),
        ("horizon=", "NAME=VALUE"),
        ("horizon=true", "NAME=VALUE"),
        ("horizon=2.5", "horizon must be a whole number"),
        ("horison=20", "Did you mean horizon"),
        ("mu=2", "double_integrator has no setting 'mu'"),
        ("dt=-1", "dt must be positive"),
        ("x_bounds=[[1,2]]", "x_bounds"),
    ],
)
def test_a_wrong_setting_is_named(setting, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        get_systems("double_integrator", [setting])


def test_a_command_for_one_plant_takes_one():
    assert one_system("van_der_pol", ["mu=2"]).name == "van_der_pol(mu=2)"
    with pytest.raises(ValueError, match="one plant"):
        one_system("all")
