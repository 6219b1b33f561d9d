"""Runs a study's variants over seeds, each as a process of its own in a run folder of its own."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from control_envs.systems import get_systems
from control_envs.utils.files import write_text
from control_envs.utils.optional import need
from llm_agent.storage.run_folder import EVALUATION, RUNS, is_run
from llm_agent.studies.definitions import STUDIES, Options, Variant
from llm_agent.studies.tables import to_markdown

LOG = "output.txt"


def folder_of(root: Path, variant: Variant, seed: int) -> Path:
    """The run folder of one variant and seed."""
    return root / re.sub(r"[^A-Za-z0-9_.-]+", "-", variant.name) / f"seed{seed}"


def run_one(variant: Variant, seed: int, folder: Path, threads: int, extra: Sequence[str] = ()) -> str:
    """Trains one variant with one seed, or goes on where it was stopped; returns "" or what went wrong."""
    if (folder / EVALUATION).is_file():
        return ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"llm_agent.train_{variant.kind}", "--output-dir", str(folder)]
    resumed = is_run(folder)
    flags = ["--resume"] if resumed else [*variant.flags, "--seed", str(seed), *extra]
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    done = subprocess.run(
        [*command, *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        lines = done.stdout.strip().splitlines() or ["no output"]
        return f"{folder}: {lines[-1]}"
    write_text(folder / LOG, done.stdout)
    for checkpoint in folder.glob("*/checkpoint-*"):  # a study of a hundred runs need not fill the disk
        shutil.rmtree(checkpoint)
    (folder / "data" / "demonstrations.parquet").unlink(missing_ok=True)
    return ""


def run_all(variants: Sequence[Variant], seeds: int, root: Path, jobs: int, extra: Sequence[str]) -> list[str]:
    """Trains every variant with seeds 0, 1, ...; ``jobs`` runs at a time share the cores. Returns what went wrong."""
    tqdm = need("tqdm.auto", "llm").tqdm
    threads = max((os.cpu_count() or 1) // jobs, 1)
    work = [(v, seed, folder_of(root, v, seed)) for seed in range(seeds) for v in variants]
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(work), desc="runs", dynamic_ncols=True) as bar:

        def go(item: tuple[Variant, int, Path]) -> str:
            problem = run_one(*item, threads, extra)
            bar.set_postfix_str(f"{item[0].name} seed {item[1]}")
            bar.update()
            return problem

        return [problem for problem in pool.map(go, work) if problem]


def finished(variants: Sequence[Variant], root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each variant's name and the folders of its finished runs."""
    for variant in variants:
        folders = folder_of(root, variant, 0).parent.glob(f"seed*/{EVALUATION}")
        yield variant.name, sorted((f.parent for f in folders), key=lambda f: int(f.name.removeprefix("seed")))


def run_study(args: argparse.Namespace, extra: Sequence[str]) -> int:
    """Trains what is not trained yet and prints the table; 1 if a run failed."""
    for name in ("seeds", "jobs", "steps"):
        if (given := getattr(args, name)) is not None and given < 1:
            raise ValueError(f"--{name} must be at least 1")
    root = args.output_dir or RUNS / "studies" / args.study
    options = Options([system.name for system in get_systems(args.system)], args.start, args.steps)
    variants = [v for v in STUDIES[args.study].variants(options) if args.only in v.name]
    problems = [] if args.table else run_all(variants, args.seeds, root, args.jobs, extra)
    table = to_markdown(STUDIES[args.study].question, dict(finished(variants, root)))
    if root.is_dir():
        write_text(root / "table.md", table)
    print(table)
    for problem in problems:
        print(f"failed: {problem}", file=sys.stderr)
    return 1 if problems else 0
