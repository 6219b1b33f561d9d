"""Trains under `accelerate launch` on a CPU, and writes how each phase's weights lie: the program of test_engines.py.

accelerate runs FSDP on accelerators alone: with ``use_cpu`` it falls back to whole copies of the model without a word.
Here it is told that the CPU is an accelerator, whose processes talk through gloo.
"""

import json
import os
import sys
from pathlib import Path

import transformers.trainer
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from llm_agent import train_grpo


class Look(TrainerCallback):
    """Writes for this process how many weights there are, how many it holds, and how many matrices are sharded."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        weights = list(model.parameters())
        held = [w.to_local() if isinstance(w, DTensor) else getattr(w, "ds_tensor", w) for w in weights]
        seen = {
            "whole": sum(getattr(w, "ds_numel", w.numel()) for w in weights),
            "held": sum(w.numel() for w in held),
            "sharded": sum(isinstance(w, DTensor) for w in weights),
            "distributed": PartialState().num_processes,
        }
        Path(f"shards-{Path(args.output_dir).name}-{PartialState().process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
        PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)
    transformers.trainer.DEFAULT_CALLBACKS.append(Look)
    sys.exit(train_grpo.main(sys.argv[1:]))
