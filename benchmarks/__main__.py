"""Runs every benchmark and prints Markdown tables.

python -m benchmarks
"""

import importlib
import pkgutil

import benchmarks
from llm_agent.training.hardware import without_denormals

if __name__ == "__main__":
    with without_denormals():  # as in the training commands; before torch starts its threads
        for info in pkgutil.iter_modules(benchmarks.__path__):
            module = importlib.import_module(f"benchmarks.{info.name}") if info.name != "__main__" else None
            if hasattr(module, "table"):
                print(module.table(), end="\n\n", flush=True)
