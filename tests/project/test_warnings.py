"""A warning of our own fails a test."""

import warnings

import pytest


@pytest.mark.parametrize("stacklevel", [1, 2, 3])
@pytest.mark.parametrize("package", ["control_envs", "baselines", "llm_agent"])
def test_a_warning_of_ours_is_an_error_whomever_it_names(package, stacklevel):
    code = compile(f"def work(): warnings.warn('new', stacklevel={stacklevel})", f"{package}/room.py", "exec")
    module = {"__name__": f"{package}.room", "warnings": warnings}
    exec(code, module)
    with pytest.raises(UserWarning, match="new"):
        module["work"]()
    with pytest.warns(UserWarning, match="new"):  # where it is expected, it is none
        module["work"]()


def test_warnings_of_others_name_whom_they_name():
    module = {"__name__": "another.package", "warnings": warnings}
    exec("def work(): warnings.warn('of another package', stacklevel=2)", module)
    with pytest.warns(UserWarning, match="of another package") as shown:
        module["work"]()
    assert shown[0].filename == __file__
