"""The result of the benchmark as JSON: its schema, its score, its checks, and the merging of results.

The score of a plan is J*/J, the least possible cost over its own, if it brings the plant to the origin within its
bounds, and 0 otherwise. A cell's score is the mean over its initial states, the score of an entry the mean over all
cells of the suite, both times 100. The optimum scores 100; no control and random controls score about 0.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from baselines.evaluation.results import Result as Evaluation
from baselines.evaluation.statistics import RESAMPLES
from control_envs import System, get_system
from control_envs.utils.files import check_input_file, write_text
from control_envs.utils.types import Array
from llm_agent.benchmarking.prompts import PromptVariant
from llm_agent.benchmarking.suites import MODES, SUITES, Mode, Suite

__all__ = [
    "Cell",
    "Entry",
    "Kind",
    "PerState",
    "Result",
    "check_complete",
    "checked",
    "interval_of",
    "merged",
    "new_cell",
    "new_result",
    "read",
    "write",
]

Kind = Literal["controller", "model", "endpoint", "callable"]
_ROUNDING = 0.01  # of scores, when a result is checked


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PerState(_Record):
    """One value for each initial state, None where there is none.

    Attributes:
        success: whether the plan reached the origin and kept the bounds.
        cost_ratio: J/J*, where the plan succeeded.
        reward: of version 1.3.
    """

    success: list[bool]
    cost_ratio: list[float | None]
    reward: list[float | None]


class Cell(_Record):
    """One plant in one mode.

    Attributes:
        system: the plant's name, with its settings.
        mode: "open-loop" (one plan from each initial state) or "closed-loop" (five, each from the state reached).
        fingerprint: a hash of the plant and its initial states.
        score: 100 times the mean of J*/J of the plans that succeed, the others counting 0.
        parsed: share of initial states with an answer that holds a plan.
        success: share of initial states with a plan that succeeds.
        verdicts: how many answers were read, and why the others were not.
        per_state: the values by initial state.
    """

    system: str
    mode: Mode
    fingerprint: str
    score: float = Field(ge=0, le=100)
    parsed: float = Field(ge=0, le=1)
    success: float = Field(ge=0, le=1)
    verdicts: dict[str, int]
    per_state: PerState

    def scores(self) -> Array:
        """J*/J of each initial state, 0 where the plan does not succeed."""
        ratios = np.array([np.inf if ratio is None else max(ratio, 1.0) for ratio in self.per_state.cost_ratio])
        return np.where(self.per_state.success, 1 / ratios, 0.0)


class Entry(_Record):
    """One policy.

    Attributes:
        policy: its name in the leaderboard.
        kind: what it is.
        prompt: the variant of the prompt; None for policies that read states.
        settings: everything else that decides its answers: sampling, tokens, engine, where it comes from.
        cells: its results.
        tokens: prompt and completion tokens, where a server counted them.
        seconds: spent on its rollouts.
    """

    policy: str
    kind: Kind
    prompt: PromptVariant | None
    settings: dict[str, Any] = {}
    cells: list[Cell] = []
    tokens: dict[str, int] = {}
    seconds: float = 0.0

    def identity(self) -> tuple[str, str, str | None]:
        """What tells entries of one result apart."""
        return self.policy, self.kind, self.prompt

    def cell(self, system: str, mode: Mode) -> Cell | None:
        """The cell of a plant in a mode, or None."""
        return next((cell for cell in self.cells if (cell.system, cell.mode) == (system, mode)), None)

    def is_complete(self, suite: Suite) -> bool:
        """Whether every cell of the suite is there."""
        return all(self.cell(system, mode) for system in suite.systems for mode in MODES)

    def score(self, suite: Suite) -> float | None:
        """The mean score of all cells; None while one is missing."""
        return float(np.mean([cell.score for cell in self.cells])) if self.is_complete(suite) else None

    def interval(self) -> tuple[float, float]:
        """The 95 % bootstrap interval of the mean score, over initial states within each cell."""
        return interval_of(self.cells)


def interval_of(cells: Sequence[Cell]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean score of cells, over initial states within each."""
    rng = np.random.default_rng(0)
    means = np.zeros(RESAMPLES)
    for cell in cells:
        scores = cell.scores()
        means += 100 * scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))].mean(axis=1)
    low, high = np.quantile(means / max(len(cells), 1), [0.025, 0.975])
    return float(low), float(high)


class Result(_Record):
    """A file of results.

    Attributes:
        schema_version: of this format.
        suite: the name of a suite.
        suite_version: the suite's version.
        created: when, in UTC.
        software: versions of Python and of the packages that decide a result.
        machine: processor and operating system.
        entries: the policies.
    """

    schema_version: Literal["control-grpo benchmark result 1"] = "control-grpo benchmark result 1"
    suite: str
    suite_version: str
    created: str
    software: dict[str, str]
    machine: str
    entries: list[Entry] = []

    def entry(self, like: Entry) -> Entry:
        """The entry with the identity of ``like``, which is added if there is none."""
        for entry in self.entries:
            if entry.identity() == like.identity():
                return entry
        self.entries.append(like)
        return like


def new_result(suite: Suite) -> Result:
    """A result without entries, made here and now."""
    packages = ("control-grpo", "numpy", "torch", "transformers", "openai")
    found = {name: v for name in packages if (v := _version(name))}
    return Result(
        suite=suite.name,
        suite_version=suite.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software={"python": platform.python_version(), **found},
        machine=f"{platform.machine()} {platform.system()}",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None


def new_cell(suite: Suite, system: System, mode: Mode, evaluation: Evaluation, reference: Array) -> Cell:
    """The cell of an evaluation from the suite's initial states.

    Args:
        suite: the suite.
        system: the plant.
        mode: of the rollout.
        evaluation: the policy's.
        reference: J* of each initial state, shape (states,); NaN where no plan keeps the bounds. Such states are left
            out.
    """
    kept = np.isfinite(reference)
    success = evaluation.values["success"][kept] > 0
    ratio, reward = evaluation.values["cost_ratio"][kept], evaluation.values["reward_1.3"][kept]
    cell = Cell(
        system=system.name,
        mode=mode,
        fingerprint=suite.fingerprint(system),
        score=0.0,
        parsed=float(evaluation.values["answered"][kept].mean()),
        success=float(success.mean()),
        verdicts=evaluation.verdicts,
        per_state=PerState(
            success=success.tolist(),
            cost_ratio=[_rounded(r) if ok else None for r, ok in zip(ratio, success, strict=True)],
            reward=[_rounded(r) for r in reward],
        ),
    )
    cell.score = round(100 * float(cell.scores().mean()), 4)
    return cell


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


# -- files -------------------------------------------------------------------------------------------------


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


def write(result: Result, file: Path) -> None:
    """Writes a result atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, result.model_dump_json() + "\n")


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


def merged(results: Sequence[Result]) -> Result:
    """One result with the entries of all; cells of the same entry are joined.

    Raises:
        ValueError: there is none, the suites differ, or two results disagree on a cell.
    """
    if not results:
        raise ValueError("nothing to merge: give files of results")
    first, *others = results
    union = first.model_copy(deep=True)
    for result in others:
        if (result.suite, result.suite_version) != (first.suite, first.suite_version):
            raise ValueError(
                f"results of the suites {first.suite} {first.suite_version} and {result.suite} "
                f"{result.suite_version} cannot be merged"
            )
        for entry in result.entries:
            _join(union.entry(entry.model_copy(deep=True)), entry)
    return union


def _join(into: Entry, entry: Entry) -> None:
    for cell in entry.cells:
        known = into.cell(cell.system, cell.mode)
        if known is None:
            into.cells.append(cell)
        elif known != cell:
            raise ValueError(
                f"two results of {entry.policy} on {cell.system}, {cell.mode} differ: leave one out, or give --name"
            )
