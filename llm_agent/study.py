"""Studies: training runs that differ in one thing, over seeds, and the table that compares them.

    python -m llm_agent.study recipe --seeds 5
    python -m llm_agent.study rewards --system double_integrator --start runs/latest/sft --seeds 3 --jobs 2
    python -m llm_agent.study rewards --table        # the table of what is there, without training

Each run has a folder of its own, runs/studies/NAME/VARIANT/seedK, and is an ordinary run: it can be looked at, killed
and resumed. Runs that are done are not run again, so that a study grows by asking for more seeds.
"""

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

from baselines.commands import guarded, systems_named
from baselines.files import write_text
from control_envs._extras import need
from llm_agent.checkpoints import BASE
from llm_agent.run_folder import RUNS
from llm_agent.studies import STUDIES, Options, Variant
from llm_agent.study_tables import to_markdown

DONE = "evaluation.json"
LOG = "output.txt"


def folder_of(root: Path, variant: Variant, seed: int) -> Path:
    """The run folder of one variant and seed."""
    return root / re.sub(r"[^A-Za-z0-9_.-]+", "-", variant.name) / f"seed{seed}"


def run_one(variant: Variant, seed: int, folder: Path, threads: int, extra: Sequence[str] = ()) -> str:
    """Trains one variant with one seed, or goes on where it was stopped; returns "" or what went wrong."""
    if (folder / DONE).is_file():
        return ""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", f"llm_agent.train_{variant.kind}", "--output-dir", str(folder)]
    resumed = (folder / "run.json").is_file()
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
        folders = folder_of(root, variant, 0).parent.glob(f"seed*/{DONE}")
        yield variant.name, sorted((f.parent for f in folders), key=lambda f: int(f.name.removeprefix("seed")))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    names = "\n".join(f"  {name:12} {study.question}" for name, study in STUDIES.items())
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.study",
        description=f"{__doc__}\nstudies:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=STUDIES, metavar="study", help="one of the studies above")
    parser.add_argument("--system", default="double_integrator,van_der_pol", help="plants, with commas between")
    parser.add_argument("--start", default=BASE, help=f"the model that runs start from (default {BASE})")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each variant (default 3)")
    parser.add_argument("--steps", type=int, default=None, help="training steps of a run (default: the preset's)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="runs at a time (default 1); they share the cores unless OMP_NUM_THREADS is set",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only variants whose name holds this")
    parser.add_argument("--output-dir", type=Path, default=None, help="default runs/studies/STUDY")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, and train nothing")
    args, extra = parser.parse_known_args(argv)
    return guarded(lambda: hold(args, extra), "stopped: the same command goes on with the study")


def hold(args: argparse.Namespace, extra: Sequence[str]) -> int:
    """Trains what is not trained yet and prints the table; 1 if a run failed."""
    for name in ("seeds", "jobs", "steps"):
        if (given := getattr(args, name)) is not None and given < 1:
            raise ValueError(f"--{name} must be at least 1")
    root = args.output_dir or RUNS / "studies" / args.study
    options = Options([system.name for system in systems_named(args.system)], args.start, args.steps)
    variants = [v for v in STUDIES[args.study].variants(options) if args.only in v.name]
    problems = [] if args.table else run_all(variants, args.seeds, root, args.jobs, extra)
    table = to_markdown(STUDIES[args.study].question, dict(finished(variants, root)))
    if root.is_dir():
        write_text(root / "table.md", table)
    print(table)
    for problem in problems:
        print(f"failed: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
