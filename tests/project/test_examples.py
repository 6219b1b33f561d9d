import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
NEEDS = {  # packages that are in no extra
    "inspect_control.py": "inspect_ai",
    "openenv_environment.py": "openenv",
    "verifiers_taskset.py": "verifiers",
    "verl_reward.py": "verl",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_example_runs_and_is_short(path, tmp_path):
    assert len(path.read_text().splitlines()) < 60
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name])
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
