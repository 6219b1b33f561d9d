"""The SLURM scripts: clean shell, a dry run, and what they launch, with a stand-in for srun."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "examples" / "slurm").glob("*.sh"))


def run(script, *words, **environment):
    return subprocess.run(
        ["bash", str(script), *words], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_shellcheck_finds_nothing(script):
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_dry_run_says_what_would_be_run(script):
    done = run(script, "runs/a b", "--seed", "3", DRY_RUN="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("srun")
    assert "-m llm_agent." in done.stdout
    assert done.stdout.endswith("runs/a b --seed 3\n")


def test_each_node_joins_with_its_own_rank(tmp_path):
    (tmp_path / "srun").write_text('#!/bin/bash\nfor i in 0 1; do SLURM_NODEID=$i "$@"; done\n')
    (tmp_path / "scontrol").write_text("#!/bin/bash\nprintf 'node7\\nnode8\\n'\n")
    (tmp_path / "accelerate").write_text("#!/bin/bash\nprintf '%s|' \"$@\"; echo\n")
    for name in ("srun", "scontrol", "accelerate"):
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = next(script for script in SCRIPTS if script.name == "train.sh")
    slurm = {"SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_NODELIST": "node[7-8]"}
    done = run(script, "--output-dir", "runs/a b", PATH=path, **slurm)
    assert done.returncode == 0, done.stderr
    for rank, line in enumerate(done.stdout.splitlines()):
        assert "--num_machines|2|--num_processes|8|--main_process_ip|node7|" in line
        assert line.endswith(f"--machine_rank|{rank}|-m|llm_agent.train_grpo|--output-dir|runs/a b|")
