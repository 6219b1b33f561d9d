"""Devices by their data sheets, and this machine's processor as it is measured."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CPU", "DEVICES", "GB", "Device", "device_named"]

GB = 1e9


@dataclass(frozen=True)
class Device:
    """A device's data sheet: memory in GB, dense TFLOP/s, memory bandwidth in GB/s.

    Attributes:
        prompt_share: share of the FLOP/s that generation reaches while it reads prompts.
        answer_share: share of the FLOP/s that generation reaches while it writes completions.
    """

    memory: float
    tflops: float
    bandwidth: float
    prompt_share: float = 1.0
    answer_share: float = 1.0


CPU = "cpu"  # this machine, measured
DEVICES = {
    "l4": Device(24, 121, 300),
    "rtx4090": Device(24, 165, 1008),
    "a100": Device(80, 312, 2039),
    "h100": Device(80, 989, 3350),
    "h200": Device(141, 989, 4800),
}


def device_named(name: str) -> Device:
    """A device by its key in `DEVICES`; "cpu" is measured."""
    return _this_cpu() if name == CPU else DEVICES[name]


def _this_cpu() -> Device:
    """This machine's processor, from the CPU time of one thread in the precision that training takes.

    The shares are those that SmolLM2-135M reached on two cores of an EPYC, in batches of 16 to 64.
    """
    import psutil
    import torch

    from llm_agent.training.hardware import bf16_is_quicker, thread_time

    size = 1024
    dtype = torch.bfloat16 if bf16_is_quicker() else torch.float32
    a, b = torch.ones(2 * size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    source, target = torch.ones(8 * size, size), torch.ones(8 * size, size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        multiplying = min(thread_time(lambda: torch.nn.functional.linear(a, b)) for _ in range(5))
        copying = min(thread_time(lambda: target.copy_(source)) for _ in range(5))
    finally:
        torch.set_num_threads(threads)
    rate = threads * 4 * size**3 / multiplying
    return Device(psutil.virtual_memory().total / GB, rate / 1e12, 64 * size**2 / copying / GB, 0.33, 0.08)
