"""Training on a CPU: precision, denormal numbers and memory."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from llm_agent.training.arguments import parse
from llm_agent.training.hardware import bf16_is_quicker, hardware, without_denormals


def test_denormals_are_zero_within_and_numbers_again_after():
    tiny = torch.tensor(1e-39)
    with without_denormals():
        if not torch.set_flush_denormal(True):
            pytest.skip("this processor cannot count denormals as zero")
        assert tiny * 1.0 == 0.0
        with without_denormals():
            pass
        assert tiny * 1.0 == 0.0  # as it was without
    assert tiny * 1.0 > 0.0


def test_numpy_is_as_it_was_after_a_command(capsys):
    import numpy as np

    from llm_agent import train_sft

    assert train_sft.main(["--model", "nothing-of-this-name"]) == 2
    assert "nothing-of-this-name" in capsys.readouterr().err
    assert np.float64(1e-310) * 1.0 > 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's setting")
def test_freed_memory_is_allocated_again():
    """Without the setting, every page of each new block is a page fault."""
    program = """
import resource, sys, torch
from llm_agent.models.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
counts = [faults() for _ in range(10)]
added = sorted(after - before for before, after in zip(counts, counts[1:]))
print(added[len(added) // 2])  # the median, since the heap still grows now and then
"""
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", program, word], stdout=subprocess.PIPE, check=True).stdout)
        for word in ("keep", "return")
    )
    assert kept < returned / 5


def test_the_precision_is_chosen_once_and_is_the_presets_default():
    assert bf16_is_quicker() is bf16_is_quicker()
    if not torch.accelerator.is_available():
        assert hardware() == {"use_cpu": True, "bf16": bf16_is_quicker()}


def test_a_resumed_run_keeps_the_precision_it_was_begun_with():
    if torch.accelerator.is_available():
        pytest.skip("an accelerator has its own precision")
    other = {"use_cpu": True, "bf16": not bf16_is_quicker()}
    assert parse("grpo", [], other).grpo.bf16 is other["bf16"]
    assert parse("grpo", [], other).sft.bf16 is other["bf16"]
    assert parse("grpo", []).settings()["machine"] == hardware()
