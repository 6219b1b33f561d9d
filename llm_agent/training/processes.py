"""Training in several processes (`accelerate launch`): all of them train, the main process writes files and prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, broadcast_object_list
from transformers.integrations import deepspeed

from control_envs.utils.commands import CommandError
from control_envs.utils.files import locked

__all__ = [
    "before_phase",
    "disconnect",
    "is_main",
    "is_sharded",
    "keeps_matrices",
    "locked_by_main",
    "on_main",
    "say",
    "whole_models",
]

Result = TypeVar("Result")


def is_main() -> bool:
    """Whether this is the main process; known before the processes have connected to each other."""
    return os.environ.get("RANK", "0") == "0"


def on_main(work: Callable[[], Result]) -> Result:
    """Calls ``work`` in the main process; all processes wait, and get its return value or its error.

    A model that ``work`` loads is whole (see `whole_models`).
    """
    if PartialState().num_processes == 1:
        with whole_models():
            return work()
    outcome: list = [None, None]
    if is_main():
        try:
            with whole_models():
                outcome[0] = work()
        except (ValueError, ImportError, OSError, CommandError) as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


@contextmanager
def whole_models() -> Iterator[None]:
    """Loads models whole. Under ZeRO-3, transformers divides a model among all processes while it is loaded."""
    reference = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = reference


def before_phase() -> None:
    """Lets the phase's trainer set up accelerate anew.

    With what an earlier phase set up, it would refuse another precision, and any DeepSpeed settings. It takes FSDP's
    settings again, which are read once only.
    """
    if AcceleratorState._shared_state.get("fsdp_plugin") is None:
        AcceleratorState._reset_state()


def is_sharded(accelerator: Any) -> bool:
    """Whether each process holds a part of the weights, so that only all together can compute with the model."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return accelerator.deepspeed_plugin.zero_stage == 3
    return accelerator.distributed_type == DistributedType.FSDP


def keeps_matrices(accelerator: Any) -> bool:
    """Whether the optimizer is given weights in their own shapes; DeepSpeed and FSDP 1 flatten them."""
    if accelerator.distributed_type == DistributedType.FSDP:
        return accelerator.is_fsdp2
    return accelerator.distributed_type != DistributedType.DEEPSPEED


def say(text: str) -> None:
    """Prints a line in the main process."""
    if is_main():
        print(text, flush=True)


def disconnect() -> None:
    """Ends the connection between the processes; a process that exits while it is open can abort."""
    if PartialState().num_processes > 1:
        PartialState().destroy_process_group()


@contextmanager
def locked_by_main(folder: Path) -> Iterator[None]:
    """Locks a folder; the main process holds the lock for all."""
    if not is_main():
        yield
        return
    with locked(folder):
        yield
