"""Data flows one way: control_envs <- baselines <- llm_agent, and light things never import heavy ones."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "control_envs": {"baselines", "llm_agent", "torch", "transformers", "trl", "peft", "datasets", "scipy"},
    "baselines": {"llm_agent"},
    "llm_agent": set(),
}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_runs_backwards(package):
    for path in (ROOT / package).rglob("*.py"):
        assert not FORBIDDEN[package] & set(imported_modules(path)), path


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_importing_the_environments_imports_nothing_heavy():
    found = run("import sys, control_envs; print([m for m in ('torch', 'scipy', 'matplotlib') if m in sys.modules])")
    assert found.stdout.strip() == "[]", found.stderr


def test_a_missing_extra_names_the_cure():
    code = """
import sys
sys.modules["matplotlib"] = None
import gymnasium, control_envs
env = gymnasium.make("DoubleIntegrator-v0", render_mode="rgb_array")
env.reset()
try:
    env.render()
except ImportError as error:
    print(error)
"""
    assert "pip install 'control-grpo[plots]'" in run(code).stdout


@pytest.mark.parametrize(
    "module", ["train_sft", "train_grpo", "evaluate", "compare", "report", "runs", "animate", "play"]
)
def test_help_imports_nothing_heavy(module):
    code = f"""
import runpy, sys
sys.argv = ["{module}", "--help"]
try:
    runpy.run_module("llm_agent.{module}", run_name="__main__")
except SystemExit as end:
    print(end.code, [m for m in ("torch", "trl", "transformers", "casadi") if m in sys.modules])
"""
    done = run(code)
    assert done.stdout.endswith("0 []\n"), done.stdout + done.stderr
    assert "usage: " in done.stdout


@pytest.mark.parametrize("module", ["baselines.compare", "baselines.ppo"])
def test_a_classical_command_without_its_extra_says_so_in_one_line(module, tmp_path):
    hidden = ("torch", "stable_baselines3", "scipy", "casadi", "matplotlib", "tqdm")
    code = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({hidden!r}))
sys.argv = ["{module}", "--output-dir", {str(tmp_path)!r}]
runpy.run_module("{module}", run_name="__main__")
"""
    done = run(code)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "pip install 'control-grpo[" in done.stderr


@pytest.mark.parametrize("module", ["train_sft", "train_grpo", "evaluate"])
def test_a_command_without_its_extra_says_so_in_one_line(module):
    hidden = ("torch", "trl", "transformers", "scipy", "matplotlib", "tqdm", "datasets", "peft", "yaml")
    code = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({hidden!r}))
sys.argv = ["{module}", "some/model"] if "{module}" == "evaluate" else ["{module}"]
runpy.run_module("llm_agent.{module}", run_name="__main__")
"""
    done = run(code)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "pip install 'control-grpo[llm]'" in done.stderr
