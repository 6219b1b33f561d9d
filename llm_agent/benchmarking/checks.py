"""Results from files, checked: they are of this version of the benchmark, and have the scores of their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError

from control_envs import get_system
from control_envs.utils.files import check_input_file
from llm_agent.benchmarking.schema import Cell, Result
from llm_agent.benchmarking.suites import MODES, SUITES, Suite

__all__ = ["check_complete", "checked", "read"]

_ROUNDING = 0.01  # of scores


def read(file: str | Path, flag: str = "the result") -> Result:
    """A result from its file, checked.

    Raises:
        ValueError: there is no such file, or it is no result of this version of the benchmark.
    """
    path = check_input_file(file, flag)
    try:
        result = Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path} is not a result of the benchmark: {place or 'the file'}: {first['msg']}") from None
    try:
        return checked(result)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def checked(result: Result) -> Result:
    """The result, if it is one of this version of the benchmark.

    Raises:
        ValueError: the suite is unknown or has another version, a cell is of other problems, or a score is not that
            of its values.
    """
    suite = SUITES.get(result.suite)
    if suite is None:
        raise ValueError(f"there is no suite {result.suite!r}: choose from {', '.join(SUITES)}")
    if result.suite_version != suite.version:
        raise ValueError(
            f"the result is of version {result.suite_version} of the suite {suite.name!r}, this package has "
            f"{suite.version}: run the benchmark again, or install the version of then"
        )
    identities = [entry.identity() for entry in result.entries]
    if len(set(identities)) < len(identities):
        raise ValueError("two entries have the same policy, kind and prompt")
    fingerprints = {name: suite.fingerprint(get_system(name)) for name in suite.systems}
    for entry in result.entries:
        seen = set()
        for cell in entry.cells:
            _check_cell(suite, fingerprints, entry.policy, cell)
            if (cell.system, cell.mode) in seen:
                raise ValueError(f"{entry.policy} has two cells of {cell.system}, {cell.mode}")
            seen.add((cell.system, cell.mode))
    return result


def _check_cell(suite: Suite, fingerprints: dict[str, str], policy: str, cell: Cell) -> None:
    where = f"{policy} on {cell.system}, {cell.mode}"
    if cell.system not in fingerprints:
        raise ValueError(f"{where}: the suite {suite.name!r} has no such plant")
    if cell.fingerprint != fingerprints[cell.system]:
        raise ValueError(f"{where}: the plant or its initial states were others")
    values = cell.per_state
    if not 0 < len(values.success) <= suite.states or len({len(v) for _, v in values}) > 1:
        raise ValueError(f"{where}: a value for each of at most {suite.states} initial states is expected")
    score, success = 100 * float(cell.scores().mean()), float(np.mean(values.success))
    if abs(score - cell.score) > _ROUNDING or abs(success - cell.success) > _ROUNDING / 100:
        raise ValueError(f"{where}: the score is {score:.2f} by its own values, not {cell.score:.2f}")


def check_complete(result: Result) -> Result:
    """The result, if every entry has all cells of the suite from all initial states, as the leaderboard wants.

    Raises:
        ValueError: something is missing.
    """
    suite = SUITES[result.suite]
    if not result.entries:
        raise ValueError("the result has no entries")
    for entry in result.entries:
        for system in suite.systems:
            for mode in MODES:
                cell = entry.cell(system, mode)
                if cell is None:
                    raise ValueError(
                        f"{entry.policy} lacks {system}, {mode}: run the same command without --system or --modes"
                    )
                if sum(cell.verdicts.values()) < suite.states:
                    raise ValueError(f"{entry.policy} on {system}, {mode} has fewer than {suite.states} initial states")
    return result
