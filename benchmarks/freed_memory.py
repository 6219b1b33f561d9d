"""The tiny model's training step with freed memory kept in the process, and with glibc's own way.

    python -m benchmarks.freed_memory

A step is forward pass, loss and backward pass of an untrained model on 8 demonstrations with written states. Each row
runs in its own process, since the setting holds for a process.
"""

import subprocess
import sys

from baselines.evaluation.tables import table as markdown
from benchmarks import best_time

REPEATS = 20


def seconds(keep):
    """Seconds per step in this process."""
    import datasets
    import torch

    from benchmarks.tiny_model import train_step
    from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
    from llm_agent.models.loading import quicken
    from llm_agent.models.tiny import build_tiny
    from llm_agent.training.hardware import bf16_is_quicker, keep_freed_memory
    from llm_agent.training.sft import tokenize

    datasets.disable_progress_bars()
    if keep:
        keep_freed_memory()
    model, tokenizer = build_tiny()
    rows, _ = make_demonstrations(["double_integrator"], 8, DemonstrationConfig(reasoning="states"))
    rows = tokenize(rows, tokenizer)
    ids, labels = torch.tensor(rows["input_ids"]), torch.tensor(rows["labels"])
    quicken(model, bf16_is_quicker(), True, ids.shape[1])
    return best_time(train_step(model, ids, labels, bf16_is_quicker()), REPEATS)


def measured(keep):
    """Seconds per step in a new process."""
    command = [sys.executable, "-m", "benchmarks.freed_memory", str(int(keep))]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def table():
    import torch

    # Twice in turn, so that a moment in which the machine is slow affects both.
    rounds = [(measured(False), measured(True)) for _ in range(2)]
    returned, kept = (min(times) for times in zip(*rounds, strict=True))
    rows = [
        ["returned to the kernel", f"{1e3 * returned:.0f}", "1.00"],
        ["kept (as chosen)", f"{1e3 * kept:.0f}", f"{kept / returned:.2f}"],
    ]
    head = f"A training step on {torch.get_num_threads()} threads (`python -m benchmarks.freed_memory`)"
    return f"{head}\n\n{markdown(['freed memory', 'ms', 'relative'], rows)}"


if __name__ == "__main__":
    print(seconds(sys.argv[1] == "1") if sys.argv[1:] else table())
