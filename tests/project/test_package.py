"""What is published: the wheel and the sdist, the lower bounds of the dependencies, the files under .github/."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import control_envs
from control_envs.utils.optional import HOLDS, how_to_install, sufficient

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("control_envs", "baselines", "llm_agent")
GITHUB = sorted((ROOT / ".github").rglob("*.yml"))
WORKFLOWS = [path for path in GITHUB if path.parent.name == "workflows"]
BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")
# Tools of the project's own, and packages that need a GPU, are not tested at their lowest.
NOT_AT_THE_LOWEST = {"bench", "dev", "docs", "quantized", "vllm"}
PACKED = [
    *(f"{package}/py.typed" for package in PACKAGES),
    *(f"llm_agent/{kind}" for kind in ("reporting/templates/report.html", "playground/static/play.html")),
    *(path.relative_to(ROOT).as_posix() for path in (ROOT / "llm_agent/training/configs").glob("*.yaml")),
    *(path.relative_to(ROOT).as_posix() for path in (ROOT / "llm_agent/models/weights").glob("*/*")),
]
WHEEL_LIMIT = 40e6  # bytes

ROLLOUTS = """
import gymnasium as gym
import numpy as np
import control_envs

env = gym.make("DoubleIntegrator-v0")
env.reset(seed=0)
ended = False
while not ended:
    _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    ended = terminated or truncated
assert np.isfinite(reward)

env = gym.make("DoubleIntegratorText-v0")
prompt, _ = env.reset(seed=0)
assert "<CONTROLS>" in prompt
system = control_envs.get_system("double_integrator")
_, reward, terminated, _, info = env.step(control_envs.format_completion(np.zeros((system.horizon, system.m))))
assert terminated and np.isfinite(reward) and info["verdict"] == "ok"

print(control_envs.__version__)
print(control_envs.__file__)
"""


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with the sdist and the wheel: $DIST, or a new build of a clean copy."""
    if "DIST" in os.environ:
        return Path(os.environ["DIST"])
    source, out = tmp_path_factory.mktemp("copy") / "control-grpo", tmp_path_factory.mktemp("dist")
    generated = shutil.ignore_patterns(".?*", "*.egg-info", "__pycache__", "build", "dist", "runs", "site")
    shutil.copytree(ROOT, source, ignore=generated)
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, source], cwd=out, check=True)
    return out


@pytest.fixture(scope="module")
def wheel(dist):
    (found,) = dist.glob("*.whl")
    return found.resolve()


@pytest.mark.slow
def test_the_wheel_contains_the_packages_and_their_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        assert email.message_from_bytes(archive.read(metadata))["Version"] == PROJECT["version"]
    assert not set(PACKED) - names
    modules = {path.relative_to(ROOT).as_posix() for top in PACKAGES for path in (ROOT / top).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert wheel.stat().st_size < WHEEL_LIMIT


@pytest.mark.slow
def test_the_sdist_contains_what_the_wheel_is_built_from(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", *PACKED} <= names


@pytest.mark.slow
def test_the_wheel_rolls_out_environments_with_core_dependencies_alone(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], cwd=tmp_path, check=True)
    done = subprocess.run([python, "-I", "-c", ROLLOUTS], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, file = done.stdout.split()
    assert version == PROJECT["version"]
    assert Path(file).is_relative_to(tmp_path)
    heavy = "import importlib.util as u; print([n for n in ('scipy', 'matplotlib', 'torch') if u.find_spec(n)])"
    assert subprocess.check_output([python, "-I", "-c", heavy], cwd=tmp_path, text=True).strip() == "[]"


def test_the_lowest_versions_are_those_of_pyproject():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(line for name in extras.keys() - NOT_AT_THE_LOWEST for line in extras[name])]
    bounds = {f"{match[1]}=={match[2]}" for line in wanted if (match := BOUND.match(line))}
    assert not [line for line in wanted if not BOUND.match(line) and not line.startswith("control-grpo[")]
    lowest = (ROOT / "constraints-lowest.txt").read_text()
    assert set(re.findall(r"^[\w.-]+==[\w.]+", lowest, re.MULTILINE)) == bounds


def test_messages_name_the_extra_that_suffices():
    extras = PROJECT["optional-dependencies"]

    def held(extra):
        own = [re.match(r"control-grpo\[([\w,]+)\]", line) for line in extras[extra]]
        direct = {name for match in own if match for name in match[1].split(",")}
        return direct | {name for part in direct for name in held(part)}

    assert all(held(extra) == parts for extra, parts in HOLDS.items())
    with sufficient("llm"):
        assert how_to_install("baselines") == how_to_install("llm")
        assert "[fast]" in how_to_install("fast")
    assert "[baselines]" in how_to_install("baselines")


def test_one_program_runs_every_command(capsys):
    from llm_agent.__main__ import COMMANDS, main

    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {command} " in listed for command in COMMANDS)
    modules = {module for module, _ in COMMANDS.values()}
    assert modules == {
        f"{package}.{path.stem}"
        for package in ("llm_agent", "baselines")
        for path in (ROOT / package).glob("*.py")
        if "def main(" in path.read_text() and path.stem != "__main__"
    }
    assert main(["estimat"]) == 2
    assert "there is no command 'estimat'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "usage: python -m llm_agent.evaluate" in capsys.readouterr().out


def test_another_package_named_baselines_is_named(tmp_path):
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "llm_agent.evaluate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "another package named baselines hides ours" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("path", [*GITHUB, ROOT / "CITATION.cff"], ids=lambda path: path.name)
def test_yaml_is_valid(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_files_that_exist(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    assert all({"runs-on", "steps"} <= job.keys() for job in jobs.values())
    assert {job["needs"] for job in jobs.values() if "needs" in job} <= jobs.keys()
    commands = " ".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)
    named = re.findall(r"(?<![\w./-])(?:tests/[\w/]+(?:\.py)?|\.ci/\w+|[\w-]+\.txt)", commands)
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
    extras = {extra for names in re.findall(r"\.\[([\w,]+)\]", commands) for extra in names.split(",")}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_the_version_is_said_once():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert citation["version"] == PROJECT["version"]
    assert f"## [{PROJECT['version']}] - {citation['date-released']}" in changes
    assert re.fullmatch(r"\d+\.\d+\.\d+", control_envs.__version__)
