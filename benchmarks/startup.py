"""Start-up time: the import of the environments, and --help of every command.

python -m benchmarks.startup
"""

import subprocess
import sys

from benchmarks import best_time
from control_envs.utils import tables

COMMANDS = (
    "llm_agent.train_grpo",
    "llm_agent.train_sft",
    "llm_agent.evaluate",
    "llm_agent.compare",
    "llm_agent.report",
    "llm_agent.runs",
    "baselines.compare",
    "baselines.ppo",
)


def run(*arguments):
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def table():
    peers = best_time(lambda: run("-c", "import numpy, gymnasium"), 3)
    ours = best_time(lambda: run("-c", "import control_envs"), 3)
    rows = [["import numpy, gymnasium", f"{peers:.2f}"], ["import control_envs", f"{ours:.2f}"]]
    rows += [[f"{name} --help", f"{best_time(lambda n=name: run('-m', n, '--help'), 2):.2f}"] for name in COMMANDS]
    title = "Seconds from start to end of a fresh process (`python -m benchmarks.startup`)"
    return f"{title}\n\n{tables.table(['process', 's'], rows)}"


if __name__ == "__main__":
    print(table())
