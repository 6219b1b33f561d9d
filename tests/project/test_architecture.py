"""Data flows one way: control_envs <- baselines <- llm_agent, and light things never import heavy ones."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "control_envs": {"baselines", "llm_agent", "torch", "transformers", "trl", "peft", "datasets", "scipy"},
    "baselines": {"llm_agent"},
    "llm_agent": set(),
}


LEVEL = re.compile(r"^\| (\d) \| `(\w+)/` \|", re.MULTILINE)


def rooms():
    """Every room and its level, as ARCHITECTURE.md has them: {"llm_agent/models": 2, ...}."""
    _, *parts = re.split(r"^### (?=\w+:)", (ROOT / "ARCHITECTURE.md").read_text(), flags=re.MULTILINE)
    return {f"{part.partition(':')[0]}/{room}": int(level) for part in parts for level, room in LEVEL.findall(part)}


def modules():
    """Our modules by dotted name."""
    found = {}
    for package in FORBIDDEN:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, known=frozenset()):
    """Modules that a file imports, at its top or later; what only type checkers read is left out.

    Of ``from a import b`` the module a.b where there is one among ``known``, else a.
    """
    tree = ast.parse(path.read_text())
    checks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    typing_only = {id(inner) for check in checks for inner in ast.walk(check)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_runs_backwards(package):
    for path in (ROOT / package).rglob("*.py"):
        assert not FORBIDDEN[package] & {name.partition(".")[0] for name in imports(path)}, path


def test_every_room_is_on_the_page_and_imports_only_rooms_below():
    known, levels = modules(), rooms()
    there = {"/".join(path.relative_to(ROOT).parts[:2]) for path in known.values() if path.parent.parent != ROOT}
    assert there == set(levels)
    assert max(levels.values()) <= 6
    for module, path in known.items():
        package, *inside = module.split(".")
        room = f"{package}/{inside[0]}" if inside else ""
        if room not in levels:
            continue  # a command, or the package itself
        for other in imports(path, known):
            if other.split(".")[0] != package or f"{package}/{[*other.split('.'), ''][1]}" == room:
                continue
            below = levels.get(f"{package}/{other.split('.')[1]}") if "." in other else None
            assert below is not None, f"{path} imports {other}, which is no room"
            assert below < levels[room], f"{path} imports {other}, which is no room below its own"


def test_no_files_import_each_other():
    known = modules()
    order = TopologicalSorter({name: set(imports(path, known)) & set(known) - {name} for name, path in known.items()})
    order.prepare()  # raises CycleError, which names the circle


def test_the_top_of_the_agent_contains_only_commands_and_public_paths():
    public = {"__init__", "policy", "trl_rewards"}
    for path in (ROOT / "llm_agent").glob("*.py"):
        text = path.read_text()
        assert path.stem in public or ('if __name__ == "__main__":' in text and text.count("\n") <= 120), path


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
    assert "[plots]'" in run(code).stdout


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
    assert "pip install -e '" in done.stderr


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
    assert "[llm]'" in done.stderr
