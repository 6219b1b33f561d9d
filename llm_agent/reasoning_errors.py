"""How exact reasoning that carries the state is: each written number beside what its neighbours say it should be.

    python -m llm_agent.reasoning_errors runs/latest tiny-base --system all --states 200

Greedy answers from held-out initial states. "whole" is the share of trajectories of all steps, "start" of those that
begin at the prompt's state; "controls" the share of controls that are what the stated gains give at the written state,
and "rms" their error; "states" the share of components that are what the plant reaches from the step before, and
"coarse" of those that are off by half a hundredth and more; "copied" the share of controls that the answer repeats.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baselines.commands import guarded, systems_named
from baselines.tables import table
from control_envs import System, format_prompt, measure, parse_completion, sample_states, score, simulate
from control_envs.codec import DECIMALS, END_REASONING
from control_envs.systems.base import Array
from llm_agent.hardware import without_denormals
from llm_agent.laws import parse_law
from llm_agent.policy import LLMPolicy
from llm_agent.state_reasoning import STATE_DECIMALS, parse_trajectory

_HEAD = ["model", "system", "parsed %", "whole %", "start %", "controls %", "rms", "states %", "coarse %", "copied %"]
_EXACT = 0.5 * 10.0**-STATE_DECIMALS + 1e-9
_COARSE = 0.5 * 10.0**-DECIMALS


@dataclass(frozen=True, eq=False)
class WrittenErrors:
    """Errors of one completion's trajectory of T steps.

    Attributes:
        start: of its first state, (n,).
        states: of each state after it, from the plant's own step, (T - 1, n).
        controls: from the stated gains at the written states, (T, m); empty where none are stated.
        repeats: which controls the answer repeats, (T,); empty where there is no answer.
    """

    start: Array
    states: Array
    controls: Array
    repeats: np.ndarray


def written_errors(system: System, x0: Array, completion: str) -> WrittenErrors | None:
    """What is wrong with the trajectory that a completion writes; None where it writes none."""
    reasoning = completion.partition(END_REASONING)[0]
    found = parse_trajectory(reasoning, system.n, system.m)
    if found is None:
        return None
    x, u = found
    K = parse_law(reasoning, system.n, system.m)
    answer = parse_completion(completion, system.horizon, system.m).controls
    feedback = None if K is None else np.round(system.saturate(-x @ K.T), DECIMALS)
    repeats: np.ndarray = np.empty(0, dtype=bool)
    if answer is not None and len(answer) == len(u):
        repeats = np.asarray(np.isclose(answer, u, atol=1e-9).all(axis=1))
    return WrittenErrors(
        start=x[0] - x0,
        states=x[1:] - system.step(x[:-1], system.saturate(u[:-1])),
        controls=np.empty((0, system.m)) if feedback is None else u - feedback,
        repeats=repeats,
    )


def table_row(system: System, policy: LLMPolicy, states: int, seed: int) -> list[str]:
    """One row of the table, without the model's name."""
    x0 = sample_states(system, states, "test", seed)
    completions = policy.act([format_prompt(system, x) for x in x0])
    controls = [parse_completion(text, system.horizon, system.m).controls for text in completions]
    parsed = [i for i, plan in enumerate(controls) if plan is not None]
    found = [e for x, text in zip(x0, completions, strict=True) if (e := written_errors(system, x, text))]
    whole = [e for e in found if len(e.states) == system.horizon - 1]
    cells = [f"{100 * len(parsed) / states:.1f}", f"{100 * len(whole) / states:.1f}"]
    cells += _shares(found) if found else ["-"] * 6
    if not parsed:
        return [system.name, *cells, "-", "-"]
    metrics = measure(simulate(system, x0[parsed], np.array([controls[i] for i in parsed])))
    rewards = f"{score(metrics).total.mean():.2f}"
    return [system.name, *cells, f"{100 * metrics.success.sum() / states:.1f}", rewards]


def _shares(found: list[WrittenErrors]) -> list[str]:
    """The cells from "start" to "copied"."""
    start = np.mean([np.abs(e.start).max() < _EXACT for e in found])
    states = np.abs(np.concatenate([e.states for e in found]))
    controls = np.concatenate([e.controls for e in found])
    repeats = np.concatenate([e.repeats for e in found])
    exact = f"{100 * np.mean(np.abs(controls) < _COARSE):.1f}" if len(controls) else "-"
    rms = f"{np.sqrt(np.mean(controls**2)):.3f}" if len(controls) else "-"
    copied = f"{100 * repeats.mean():.2f}" if len(repeats) else "-"
    return [
        f"{100 * start:.1f}",
        exact,
        rms,
        f"{100 * np.mean(states < _EXACT):.1f}",
        f"{100 * np.mean(states >= _COARSE):.2f}",
        copied,
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m llm_agent.reasoning_errors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="+", help="run folders, model folders or hub ids")
    parser.add_argument("--system", default="double_integrator", help="plants, with commas between, or all")
    parser.add_argument("--states", type=int, default=200, help="held-out initial states (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of these states (%(default)s)")
    args = parser.parse_args(argv)

    def work() -> None:
        rows = []
        for name in args.models:
            policy = LLMPolicy.from_pretrained(name)
            for system in systems_named(args.system):
                rows.append([name, *table_row(system, policy, args.states, args.seed)])
        print(table([*_HEAD, "success %", "reward 1.3"], rows))

    with without_denormals():
        return guarded(work)


if __name__ == "__main__":
    sys.exit(main())
