"""The training step of a confident model: precision, denormal numbers, and torch's exp.

    python -m benchmarks.sharp_model

The logits of a confident model differ by tens, so that most probabilities and their gradients are denormal numbers or
underflow; those of an untrained model do not (benchmarks.tiny_model). Each row runs in its own process, since a thread
keeps the treatment of denormals with which it was started. A step is forward pass, loss and backward pass of tiny-base
on 32 demonstrations.
"""

import subprocess
import sys
from contextlib import nullcontext

from baselines.evaluation.tables import table as markdown
from benchmarks import best_time

REPEATS = 15


def logsumexp_loss(logits, labels):
    """Cross-entropy with logsumexp, as for soft targets."""
    import torch

    return (torch.logsumexp(logits, dim=1) - logits.gather(1, labels[:, None]).squeeze(1)).mean()


def seconds(bf16, flush, exp):
    """Seconds per step in this process."""
    import datasets

    from benchmarks.tiny_model import batch, train_step
    from llm_agent.models.loading import load_model, quicken
    from llm_agent.training.hardware import without_denormals

    datasets.disable_progress_bars()
    with without_denormals() if flush else nullcontext():
        model, tokenizer = load_model("tiny-base")
        ids, labels = batch(tokenizer)
        quicken(model, bf16, True, ids.shape[1])
        step = train_step(model, ids, labels, bf16, logsumexp_loss if exp else None)
        return best_time(step, REPEATS)


def measured(*settings):
    """Seconds per step in a new process."""
    command = [sys.executable, "-m", "benchmarks.sharp_model", *map(str, map(int, settings))]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def table():
    import torch

    rows, base = [], None
    for bf16 in (False, True):
        for flush, exp in ((True, False), (False, False), (True, True), (False, True)):
            spent = measured(bf16, flush, exp)
            base = base or spent
            loss = "logsumexp" if exp else "log_softmax"
            precision = "bfloat16" if bf16 else "float32"
            rows.append([precision, "zero" if flush else "kept", loss, f"{1e3 * spent:.0f}", f"{spent / base:.2f}"])
    head = f"A sharp model's training step on {torch.get_num_threads()} threads (`python -m benchmarks.sharp_model`)"
    return f"{head}\n\n{markdown(['precision', 'denormals', 'loss', 'ms', 'relative'], rows)}"


if __name__ == "__main__":
    print(seconds(*(word == "1" for word in sys.argv[1:])) if sys.argv[1:] else table())
