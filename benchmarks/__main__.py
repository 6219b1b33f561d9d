"""Runs every benchmark and prints Markdown tables.

python -m benchmarks
"""

import importlib
import pkgutil

import benchmarks

if __name__ == "__main__":
    for info in pkgutil.iter_modules(benchmarks.__path__):
        if info.name != "__main__":
            print(importlib.import_module(f"benchmarks.{info.name}").table(), end="\n\n", flush=True)
