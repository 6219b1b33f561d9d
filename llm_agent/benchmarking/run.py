"""Runs the benchmark cell by cell; each finished cell is written at once, and a second run goes on from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from baselines.evaluation.results import evaluate
from baselines.optimum.solver import solve_all
from control_envs import System, get_system
from control_envs.utils.commands import CommandError
from control_envs.utils.optional import need
from llm_agent.benchmarking.entrants import Entrant
from llm_agent.benchmarking.results import new_cell, write
from llm_agent.benchmarking.schema import Cell, Entry, Result
from llm_agent.benchmarking.suites import PLANS, Mode, Suite

__all__ = ["run"]


def run(
    suite: Suite,
    entrants: Sequence[Entrant],
    systems: Sequence[str],
    modes: Sequence[Mode],
    result: Result,
    file: Path | None,
    states: int | None = None,
) -> Result:
    """Adds the missing cells of each entrant to a result.

    Args:
        suite: the problems.
        entrants: the policies.
        systems: names of the suite's plants to run.
        modes: to run.
        result: what is known; it is changed.
        file: where the result is written after each cell; None for nowhere.
        states: only the first of the suite's initial states.

    Returns:
        The result.

    Raises:
        CommandError: answers of a served model did not arrive.
    """
    tqdm = need("tqdm.auto", "baselines").tqdm
    for entrant in entrants:
        entry = result.entry(
            Entry(policy=entrant.policy, kind=entrant.kind, prompt=entrant.prompt, settings=entrant.settings)
        )
        missing = [(system, mode) for system in systems for mode in modes if entry.cell(system, mode) is None]
        unit, total = _size(suite, entrant, missing, states)
        with tqdm(total=total, desc=entrant.policy, unit=unit, dynamic_ncols=True) as bar:
            for name, mode in missing:
                if entry.cell(name, mode):  # a controller's modes are one
                    continue
                bar.set_postfix_str(f"{name}, {mode}")
                began, before = time.perf_counter(), _tokens(entrant)
                cell = _cell(suite, entrant, get_system(name), mode, states, bar.update)
                if entrant.prompt:
                    entry.cells.append(cell)
                else:
                    done = [m for system, m in missing if system == name]
                    entry.cells += [cell.model_copy(update={"mode": m}) for m in done]
                    bar.update(len(done))
                tokens = {part: count - before[part] for part, count in _tokens(entrant).items()}
                entry.spend(time.perf_counter() - began, tokens)
                if file is not None:
                    write(result, file)
    return result


def _tokens(entrant: Entrant) -> dict[str, int]:
    """Tokens so far, where a server counts them."""
    return getattr(entrant.model, "tokens", {})


def _size(suite: Suite, entrant: Entrant, missing: Sequence[tuple[str, Mode]], states: int | None) -> tuple[str, int]:
    """What a progress bar counts, and how many: answers at most, or a controller's cells."""
    if not entrant.prompt:
        return " cells", len(missing)
    plans = sum(PLANS if mode == "closed-loop" else 1 for _, mode in missing)
    return " answers", plans * min(states or suite.states, suite.states)


def _cell(
    suite: Suite,
    entrant: Entrant,
    system: System,
    mode: Mode,
    states: int | None,
    progress: Callable[[int], Any],
) -> Cell:
    x0 = suite.x0(system)
    reference = solve_all(system, x0).cost
    policy = entrant.build(system, suite.replan_every(system, mode) if entrant.prompt else None, progress)
    evaluation = evaluate(policy, system, x0[:states], reference[:states])
    failed = evaluation.verdicts.get("failed", 0)
    if entrant.prompt and failed:
        raise CommandError(
            f"{failed} answers of {entrant.policy} did not arrive: the same command asks again, for them alone"
        )
    return new_cell(suite, system, mode, evaluation, reference[:states])
