"""Trains a study's variants over seeds, each in its own process and run folder."""

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
from control_envs.utils.files import check_output_dir, write_text
from control_envs.utils.optional import need
from llm_agent.storage.run_folder import EVALUATION, RUNS, is_run
from llm_agent.studies.definitions import STUDIES, Options, Variant
from llm_agent.studies.tables import to_markdown

__all__ = ["finished", "folder_of", "run_all", "run_one", "run_study"]

LOG = "output.txt"


def folder_of(root: Path, variant: Variant, seed: int) -> Path:
    """The run folder of one variant and seed."""
    return root / re.sub(r"[^A-Za-z0-9_.-]+", "-", variant.name) / f"seed{seed}"


def run_one(variant: Variant, seed: int, folder: Path, threads: int, extra: Sequence[str] = ()) -> str:
    """Trains one variant with one seed, or resumes it; does nothing if it is finished.

    Args:
        folder: the run folder.
        threads: OMP_NUM_THREADS of the process, unless it is set already.
        extra: further flags of the training command.

    Returns:
        "", or the error.
    """
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
    for checkpoint in folder.glob("*/checkpoint-*"):  # a study of a hundred runs would fill the disk
        shutil.rmtree(checkpoint)
    (folder / "data" / "demonstrations.parquet").unlink(missing_ok=True)
    return ""


def run_all(variants: Sequence[Variant], seeds: int, root: Path, jobs: int, extra: Sequence[str]) -> list[str]:
    """Trains every variant with seeds 0, 1, ..., ``jobs`` runs at a time; returns the errors."""
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


def _check_flags(variants: Sequence[Variant], extra: Sequence[str]) -> None:
    """Parses every variant's flags, so that what all runs would refuse is refused once, before the first."""
    from llm_agent.training.arguments import parse

    for variant in variants:
        parse(variant.kind, [*variant.flags, *extra])


def run_study(args: argparse.Namespace, extra: Sequence[str]) -> int:
    """Trains the runs that are missing and prints the table; returns 1 if a run failed.

    Raises:
        ValueError: a flag is invalid.
    """
    root = check_output_dir(args.output_dir or RUNS / "studies" / args.study)
    options = Options([system.name for system in get_systems(args.system)], args.start, args.steps)
    everything = STUDIES[args.study].variants(options)
    variants = [v for v in everything if args.only in v.name]
    if not variants:
        raise ValueError(f"--only {args.only}: no variant is called so, but {', '.join(v.name for v in everything)}")
    if not args.table:
        _check_flags(variants, extra)
    problems = [] if args.table else run_all(variants, args.seeds, root, args.jobs, extra)
    table = to_markdown(STUDIES[args.study].question, dict(finished(variants, root)))
    if root.is_dir():
        write_text(root / "table.md", table)
    print(table)
    for problem in problems:
        print(f"failed: {problem}", file=sys.stderr)
    return 1 if problems else 0
