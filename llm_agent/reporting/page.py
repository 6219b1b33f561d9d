"""One run, or several compared, as a single HTML file without scripts or network access."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.evaluation.tables import (
    COST_RATIO,
    MAIN,
    MORE,
    SUCCESS,
    Column,
    caption,
    paired_table,
    policy_table,
    timing_table,
)
from control_envs import System, format_prompt
from control_envs.systems.base import shortest
from control_envs.text import DECIMALS
from control_envs.utils.files import write_text
from control_envs.utils.optional import need
from control_envs.utils.tables import table
from llm_agent.evaluation.labels import greedy_models
from llm_agent.reporting import figures
from llm_agent.reporting.data import PlantData, hand_picked, of_run, of_runs, worst
from llm_agent.reporting.headline import headline
from llm_agent.reporting.markdown import to_html
from llm_agent.storage.run_folder import RunFolder

TEMPLATE = "report.html"
SHOWN = (*MAIN[:3], COST_RATIO, MAIN[-1])  # what fits a laptop's screen
REST = ((*MAIN[3:4], *MAIN[5:-1]), MORE)
CARDS = (SUCCESS, Column("J/J*, feasible", "cost_ratio_kept", decimals=4), MAIN[2], MAIN[-1])
BASELINES = ("LQR", "MPC")
SAMPLES = 3
LONGEST = 3000  # characters of a completion that are shown


def write_page(runs: Sequence[RunFolder], path: Path) -> Path:
    """Writes the page of a run, or of several compared.

    Raises:
        ValueError: a run has not been evaluated yet, or the runs cannot be compared.
    """
    plants = of_run(runs[0]) if len(runs) == 1 else of_runs(runs)
    jinja = need("jinja2", "llm")
    loader = jinja.FileSystemLoader(Path(__file__).parent / "templates")
    template = jinja.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    folders = {run.path.name: run for run in runs}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(
        path,
        template.get_template(TEMPLATE).render(
            title=" and ".join(folders) if len(runs) < 3 else f"{len(runs)} runs compared",
            about=[about(run) for run in runs],
            plants=[plant(data) for data in plants],
            training=training(folders),
            legend=figures.key(list(folders)) if len(runs) > 1 else [],
            settings=to_html(settings_table(folders)),
            repeat=[repeat(run) for run in runs],
            colours=figures.COLOURS,
        ),
    )
    return path


# -- the run -------------------------------------------------------------------------------------------------


def about(run: RunFolder) -> dict[str, Any]:
    """One line about a run."""
    record, settings = run.record, run.settings
    return {
        "name": run.path.name,
        "model": settings["model"],
        "phases": ", ".join(f"{name} {done['seconds']:.0f} s" for name, done in record["phases"].items()),
        "started": record["started"][:16].replace("T", " "),
    }


def settings_table(runs: Mapping[str, RunFolder]) -> str:
    """The runs' settings, one column per run."""
    columns = [_settings(run) for run in runs.values()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return table(["setting", *runs], [[name, *(column.get(name, "-") for column in columns)] for name in names])


def _settings(run: RunFolder) -> dict[str, str]:
    record, settings = run.record, dict(run.settings)
    settings.pop("argv", None)
    return {
        **{name.replace("_", " "): _plain(value) for name, value in settings.items()},
        "started": record["started"],
        "commit": str(record["commit"]),
        "machine": ", ".join(f"{name} {value}" for name, value in record["machine"].items()),
        "versions": ", ".join(f"{name} {value}" for name, value in record["versions"].items()),
    }


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(v)}" for name, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def repeat(run: RunFolder) -> dict[str, str]:
    """The commands that repeat the run."""
    record = run.record
    versions = [f"{name}=={version}" for name, version in record["versions"].items() if name != "control-grpo"]
    commit = (record["commit"] or "").removesuffix("-dirty")
    lines = [f"git checkout {commit}"] if commit else []
    lines += [f"pip install {shlex.join(versions)} -e '.[all]'", record["command"]]
    dirty = str(record["commit"]).endswith("-dirty")
    return {
        "name": run.path.name,
        "commands": "\n".join(lines),
        "note": "The working tree had uncommitted changes." if dirty else "",
    }


def training(runs: Mapping[str, RunFolder]) -> list[dict[str, Any]]:
    """Groups of training curves, each with a title, a note and figures."""
    shares, idle = figures.terms(runs, "variance_share/")
    terms, constant = figures.terms(runs, "reward_terms/")
    groups = [
        ("Supervised fine-tuning", "", figures.curves(runs, "sft", figures.CURVES["sft"])),
        (
            "GRPO",
            "Over training steps. Thin lines: as logged. Thick lines: running mean.",
            figures.curves(runs, "grpo", figures.CURVES["grpo"]),
        ),
        ("Reward terms", f"Mean of each term over a step's completions. {_constants(constant)}", terms),
        (
            "What drives the advantage",
            "Each term's share of the reward's variance within groups. A negative share works against the others. "
            + _constants(idle),
            shares,
        ),
        ("Groups", "", figures.curves(runs, "grpo", figures.GROUPS)),
    ]
    return [{"title": title, "note": note, "figures": drawn} for title, note, drawn in groups if drawn]


def _constants(values: Mapping[str, float]) -> str:
    if not values:
        return ""
    return "Constant throughout: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()) + "."


# -- a plant -------------------------------------------------------------------------------------------------


def plant(data: PlantData) -> dict[str, Any]:
    """The page's section on one plant."""
    shown = [*_portrayed(data), *BASELINES]
    section: dict[str, Any] = {
        "name": data.system.name,
        "problem": problem(data.system),
        "headline": summary(data),
        "cards": [card(data, column, shown) for column in CARDS],
        "about": caption(data.report),
        "tables": to_html(policy_table(data.summary, SHOWN, data.skipped)),
        "more": to_html("\n\n".join([*(policy_table(data.summary, c) for c in REST), timing_table(data.summary)])),
        "paired": to_html(paired_table(data.paired)) if data.paired else "",
        "has_trajectories": data.x0 is not None,
    }
    return section | (pictures(data, data.named(shown)) if data.x0 is not None else {})


def _portrayed(data: PlantData) -> list[str]:
    """The models to draw: for one run the greedy plans of each phase, for several runs those of the last phase."""
    if len(data.focus) > 1:
        return list(data.focus)
    return greedy_models(data.models)


def problem(system: System) -> str:
    """The control problem as a table."""

    def box(names: Sequence[str], bounds: Any) -> str:
        pairs = zip(names, bounds.tolist(), strict=True)
        return ", ".join(f"{name} in [{shortest(low)}, {shortest(high)}]" for name, (low, high) in pairs)

    rows = [
        ["equation", system.equation_text],
        ["states", box(system.state_names, system.x_bounds)],
        ["controls", box(system.control_names, system.u_bounds)],
        ["initial states", box(system.state_names, system.x0_bounds)],
        ["plan", f"{system.horizon} controls, one every {shortest(system.dt)} s"],
        ["Q, R (scaled)", f"diag {np.diag(system.Q).tolist()}, diag {np.diag(system.R).tolist()}"],
    ]
    return to_html(table(["problem", system.title], rows))


def summary(data: PlantData) -> list[str]:
    """The result in sentences: a few for one run, one per run for several."""
    if len(data.focus) == 1:
        return headline(data.report)
    said = []
    for name in data.focus:
        measures = data.summary[name]["measures"]
        if measures["success"]["mean"] is None:
            continue
        cost = CARDS[1].cell(data.summary[name])
        said.append(
            f"{name}: success from {SUCCESS.cell(data.summary[name])} % of the initial states"
            + (f"; feasible trajectories cost {cost} times the optimum." if cost != "-" else ".")
        )
    return said


def card(data: PlantData, column: Column, names: Sequence[str]) -> dict[str, Any]:
    """One metric of the models and the baselines side by side."""
    rows = [(n, *_split(column.cell(data.summary[n])), n in data.focus) for n in names if n in data.summary]
    return {"title": column.title, "rows": rows}


def _split(cell: str) -> tuple[str, str]:
    number, _, interval = cell.partition(" ")
    return number, interval


def pictures(data: PlantData, drawn: Sequence[Any]) -> dict[str, Any]:
    """Trajectories, cost maps and samples."""
    assert data.x0 is not None
    picked = hand_picked(data.system, data.x0)
    focus = data.named(data.focus)
    return {
        "legend": figures.key([r.name for r in drawn]),
        "portraits": figures.portraits(drawn, picked),
        "picked": _state(data, picked[0]),
        "courses": figures.courses(drawn, picked[0]),
        "worst": [worst_of(data, result) for result in focus],
        "maps": figures.cost_maps(drawn, data.x0),
        "regrets": figures.regrets(drawn),
        "samples": [sample for result in focus for sample in samples(data, result, picked)],
    }


def worst_of(data: PlantData, result: Any) -> dict[str, Any]:
    """A model's worst initial states: a table, its trajectories beside the optimal ones, and the worst over time."""
    assert data.x0 is not None
    states = worst(result)
    optimum = data.results[0]
    rows = [[_state(data, i), *_facts(result, i).values()] for i in states]
    return {
        "name": result.name,
        "table": to_html(table(["initial state", *_facts(result, states[0])], rows)),
        "portraits": figures.portraits([result, optimum], states),
        "state": _state(data, states[0]),
        "legend": figures.key([result.name, optimum.name]),
        "courses": figures.courses([result, optimum], states[0]),
    }


def _state(data: PlantData, i: int) -> str:
    assert data.x0 is not None
    return ", ".join(f"{n} {v:.{DECIMALS}f}" for n, v in zip(data.system.state_names, data.x0[i], strict=True))


def _facts(result: Any, i: int) -> dict[str, str]:
    """The metrics of one trajectory, by column title."""
    values = result.values
    return {
        "verdict": str(result.controller.verdicts[i]),
        COST_RATIO.title.partition(" ")[0]: _number(values["cost_ratio"][i], 4),
        "success": "yes" if values["success"][i] else "no",
        "violates bounds": "yes" if values["violated"][i] else "no",
        "final error": _number(values["final_error"][i], 3),
        "reward 1.3": _number(values["reward_1.3"][i], 2),
    }


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if np.isfinite(value) else "-"


def samples(data: PlantData, result: Any, picked: Sequence[int]) -> list[dict[str, Any]]:
    """Prompts and completions of a model: from hand-picked and worst initial states, and some that hold no plan."""
    assert data.x0 is not None
    silent = np.flatnonzero(~result.valid)[:SAMPLES].tolist()
    wanted = dict.fromkeys(picked[:SAMPLES], "hand-picked initial state")
    wanted |= dict.fromkeys(worst(result)[:SAMPLES], "among the worst") | dict.fromkeys(silent, "no plan")
    return [
        {
            "title": f"{result.name}, {why}: {_state(data, i)}",
            "facts": [(name, text) for name, text in _facts(result, i).items()],
            "prompt": format_prompt(data.system, data.x0[i], DECIMALS),
            "completion": result.completions[i][:LONGEST],
            "cut": len(result.completions[i]) > LONGEST,
        }
        for i, why in wanted.items()
    ]
