"""Anything that can fly a plant: feedback laws, open-loop plans, MPC, and language models by text.

A policy is started on a batch of flights and gives a `Controller`, which is then asked for controls, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from baselines.lqr import lqr
from baselines.mpc import MPC, Plan
from baselines.optimum import Optimum
from control_envs import System, format_prompt, parse_completion
from control_envs.codec import DECIMALS, END_CONTROLS
from control_envs.riccati import finite_horizon_lqr
from control_envs.systems.base import Array

OK = "ok"
# Verdicts under which a flight counts as flown; any other is no answer, and its flight is in no average of flights.
ANSWERS = (OK, "soft")


class Controller(Protocol):
    """A policy at the controls of S flights.

    Attributes:
        verdicts: for each flight "ok", or what is to be said of it: "soft" (MPC gave up a state bound), "failed"
            (a solver did not converge), a parser's verdict; shape (S,), object dtype.
    """

    verdicts: np.ndarray

    def control(self, x: Array, k: int) -> Array:
        """Controls (S, m) at step k from states (S, n)."""
        ...


class Policy(Protocol):
    """A named way to fly one plant."""

    name: str

    def start(self, x0: Array) -> Controller:
        """Takes the controls of S flights that start at x0 (S, n)."""
        ...

    def decisions(self, horizon: int) -> int:
        """How often it decides in a flight of that many steps; 0 where the time it takes means nothing."""
        ...


class Feedback:
    """A feedback law ``law(x, k)``: states (S, n) at step k to controls (S, m)."""

    def __init__(self, name: str, law: Callable[[Array, int], Array]):
        self.name, self._law = name, law

    def start(self, x0: Array) -> Controller:
        return _LawController(self._law, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _LawController:
    def __init__(self, law: Callable[[Array, int], Array], count: int, verdicts: np.ndarray | None = None):
        self._law = law
        self.verdicts = np.full(count, OK, dtype=object) if verdicts is None else verdicts

    def control(self, x: Array, k: int) -> Array:
        return self._law(x, k)


def lqr_policy(system: System) -> Feedback:
    """The infinite-horizon LQR; the plant saturates its controls."""
    K, _ = lqr(system)
    return Feedback("LQR", lambda x, k: system.saturate(-x @ K.T))


def finite_horizon_lqr_policy(system: System) -> Feedback:
    """The time-varying LQR of the flight's own horizon and terminal cost."""
    K, _ = finite_horizon_lqr(system)
    return Feedback("finite-horizon LQR", lambda x, k: system.saturate(-x @ K[k].T))


class OptimalPlan:
    """The optima's controls, flown open loop from their own states; where there is none, the solver's verdict.

    Args:
        optima: as `baselines.optimum.solve_all` has them for S states.
    """

    def __init__(self, optima: Optimum, name: str = "optimum J*"):
        self.name, self._optima = name, optima

    def start(self, x0: Array) -> Controller:
        status, plans = self._optima.status, np.nan_to_num(self._optima.controls)
        verdicts = np.where(status == "optimal", OK, status).astype(object)
        return _LawController(lambda x, k: plans[:, k], len(x0), verdicts)

    def decisions(self, horizon: int) -> int:
        return 0  # it is a ruler, not a controller: its time says nothing


class MPCPolicy:
    """Model predictive control; keyword arguments are `baselines.mpc.MPC`'s."""

    def __init__(self, system: System, name: str = "MPC", **settings: Any):
        self.name, self._mpc = name, MPC(system, **settings)

    def start(self, x0: Array) -> Controller:
        return _MPCController(self._mpc, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _MPCController:
    def __init__(self, mpc: MPC, count: int):
        self._mpc = mpc
        self._plans: list[Plan | None] = [None] * count
        self.verdicts = np.full(count, OK, dtype=object)

    def control(self, x: Array, k: int) -> Array:
        controls = np.zeros((len(x), self._mpc.system.m))
        for i, state in enumerate(x):
            if self.verdicts[i] == "failed":
                continue  # nothing this flight does counts any more
            plan = self._plans[i] = self._mpc.plan(state, self._plans[i])
            if plan.status != "solved":
                self.verdicts[i] = plan.status
            if plan.status != "failed":
                controls[i] = self._mpc.system.saturate(plan.u[0])
        return controls


class TextPolicy:
    """A text policy: the prompt of the state reached in, a completion with a whole plan out.

    Args:
        act: prompts to completions, such as ``LLMPolicy(...).act``.
        replan_every: controls played of each plan before it is asked again; None plays the whole plan.
        decimals: the state is rounded to that grid before it is printed, which is what models are trained on.
    """

    def __init__(
        self,
        name: str,
        system: System,
        act: Callable[[list[str]], Sequence[str]],
        replan_every: int | None = None,
        decimals: int = DECIMALS,
    ):
        if replan_every is not None and replan_every < 1:
            raise ValueError(f"replan_every must be at least 1 or None, not {replan_every}")
        self.name, self._system, self._act = name, system, act
        self._every, self._decimals = replan_every or system.horizon, decimals

    def start(self, x0: Array) -> _TextController:
        return _TextController(self._system, self._act, self._every, self._decimals, len(x0))

    def decisions(self, horizon: int) -> int:
        return -(-horizon // self._every)


class _TextController:
    """Attributes: ``completions``, the answers to each flight's first prompt."""

    def __init__(self, system: System, act: Callable[..., Sequence[str]], every: int, decimals: int, count: int):
        self._system, self._act, self._every, self._decimals = system, act, every, decimals
        self._plans = np.zeros((count, system.horizon, system.m))
        self.verdicts = np.full(count, OK, dtype=object)
        self.completions: list[str] = []

    def control(self, x: Array, k: int) -> Array:
        if k % self._every == 0:
            self._ask(x)
        return self._plans[:, k % self._every]

    def _ask(self, x: Array) -> None:
        """New plans for the flights that have answered so far; a flight without a plan plays zeros from here on."""
        asked = np.flatnonzero(self.verdicts == OK)
        completions = list(self._act(_prompts(self._system, x[asked], self._decimals)))
        self.completions = self.completions or completions
        self._plans[:] = 0.0
        for i, completion in zip(asked, completions, strict=True):
            parsed = parse_completion(completion, self._system.horizon, self._system.m)
            self.verdicts[i] = parsed.verdict
            if parsed.controls is not None:
                self._plans[i] = parsed.controls


class RecedingTextPolicy:
    """A text policy that is asked at every step, for no more of its answer than the first control.

    It flies as ``TextPolicy(..., replan_every=1)`` does with the whole answers, as long as these hold plans: what comes
    after the first control is never written, and so not judged.

    Args:
        begin: ``begin(prompts, drafts)`` gives answers as far as their first control; ``drafts`` are its answers for
            the same flights one step before (None at first). ``llm_agent.receding.FirstControls(policy)`` is one.
        decimals: as for `TextPolicy`.
    """

    def __init__(
        self,
        name: str,
        system: System,
        begin: Callable[[list[str], list[str] | None], Sequence[str]],
        decimals: int = DECIMALS,
    ):
        self.name, self._system, self._begin, self._decimals = name, system, begin, decimals

    def start(self, x0: Array) -> Controller:
        return _RecedingTextController(self._system, self._begin, self._decimals, len(x0))

    def decisions(self, horizon: int) -> int:
        return horizon


class _RecedingTextController:
    def __init__(self, system: System, begin: Callable[..., Sequence[str]], decimals: int, count: int):
        self._system, self._begin, self._decimals = system, begin, decimals
        self._drafts: list[str] | None = None
        self.verdicts = np.full(count, OK, dtype=object)

    def control(self, x: Array, k: int) -> Array:
        self._drafts = list(self._begin(_prompts(self._system, x, self._decimals), self._drafts))
        u = np.zeros((len(x), self._system.m))
        for i, beginning in enumerate(self._drafts):
            parsed = parse_completion(beginning + END_CONTROLS, 1, self._system.m)
            if self.verdicts[i] == OK:
                self.verdicts[i] = parsed.verdict
            if parsed.controls is not None:
                u[i] = parsed.controls[0]
        return u


def _prompts(system: System, x: Array, decimals: int) -> list[str]:
    """What a text policy is told of states (S, n), rounded to the grid."""
    return [format_prompt(system, state, decimals) for state in np.round(x, decimals) + 0.0]  # no negative zero
