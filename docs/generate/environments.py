"""Generates one page per environment, in Gymnasium's style, from the plant's `System` and the environment classes."""

import inspect
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe
import gymnasium as gym
import numpy as np
from matplotlib.image import imsave
from rewards_of import rewards_section

from baselines.controllers.lqr import lqr, simulate_feedback
from control_envs import SYSTEMS, System, env_id, format_completion
from control_envs.envs import ControlEnv, TextControlEnv, TrajectoryEnv
from control_envs.utils.tables import table

TEMPLATE = Path(__file__).with_name("environment.md")
SHOWN = 110  # characters of a completion on the page
SETTINGS = ("dt", "horizon", "x_bounds", "u_bounds", "x0_bounds", "Q", "R")


def navigation() -> list:
    """The entries of the navigation."""
    return [
        "environments/index.md",
        *({heading(system): f"environments/{name}.md"} for name, system in SYSTEMS.items()),
    ]


def pages() -> Iterator[tuple[str, str | bytes]]:
    """The path in the site and the content of each page and picture."""
    yield "environments/index.md", overview()
    for name, system in SYSTEMS.items():
        env, completion = rolled_out(system)
        yield f"environments/{name}.png", picture(env)
        yield f"environments/{name}.md", page(system, env, completion)


def heading(system: System) -> str:
    """A plant's name as a title: "Double integrator", "Double integrator (hard)"."""
    title = system.title.partition(" ")[2]
    same = [name for name, other in SYSTEMS.items() if other.title == system.title]
    variant = system.name.removeprefix(same[0]).strip("_").replace("_", " ")
    return title[0].upper() + title[1:] + (f" ({variant})" if variant else "")


def rolled_out(system: System) -> tuple[gym.Env, str]:
    """A text environment after one episode with seed 0 and LQR's plan, and the completion with that plan."""
    env = gym.make(env_id(system.name, text=True), render_mode="rgb_array", disable_env_checker=True)
    _, info = env.reset(seed=0)
    plan = simulate_feedback(system, info["x0"], lqr(system)[0], decimals=2).u
    completion = format_completion(plan, "LQR's plan")
    env.step(completion)
    return env, completion


def picture(env: gym.Env) -> bytes:
    """The environment's rendering as PNG."""
    file = io.BytesIO()
    imsave(file, env.render())
    return file.getvalue()


# -- a page --------------------------------------------------------------------------------------------------


def page(system: System, env: gym.Env, completion: str) -> str:
    """A plant's page, from the template beside this file."""
    numeric, text = env_id(system.name), env_id(system.name, text=True)
    box = gym.make(numeric, disable_env_checker=True)
    prompt, _ = gym.make(text, disable_env_checker=True).reset(seed=0)
    return TEMPLATE.read_text().format(
        heading=heading(system),
        title=system.title,
        name=system.name,
        about=about(system),
        numeric=numeric,
        text=text,
        action_space=box.action_space,
        observation_space=box.observation_space,
        text_action_space=text_space(env.action_space),
        text_observation_space=text_space(env.observation_space),
        horizon=system.horizon,
        dt=system.dt,
        equation=system.equation_text,
        parameters=parameters(system),
        quantities=quantities(system),
        prompt=prompt,
        completion=f"{completion[:SHOWN]} ...",
        Q=plain(system.Q),
        R=plain(system.R),
        rewards=rewards_section(env.unwrapped.trajectory),
        arguments=arguments(system),
    )


def about(system: System) -> str:
    """The docstring of the plant's file; for a variant, also a table of how it differs from the base plant."""
    text = inspect.cleandoc(sys.modules[system.vector_field.__module__].__doc__ or "")
    base = next(other for other in SYSTEMS.values() if other.title == system.title)
    if base is system:
        return text
    changed, default = system.to_dict(), base.to_dict()
    rows = [
        [f"`{key}`", f"`{plain(getattr(base, key))}`", f"`{plain(getattr(system, key))}`"]
        for key in SETTINGS
        if changed[key] != default[key]
    ]
    differs = f"Differences from [{env_id(base.name)}]({base.name}.md):"
    return "\n\n".join([text, differs, table(["setting", base.name, system.name], rows)])


def parameters(system: System) -> str:
    """A table of the vector field's parameters and the ranges of their variations."""
    if not system.params:
        return ""
    ranges = {name: "{:g} to {:g}".format(*span) for name, span in system.param_ranges.items()}
    rows = [[f"`{name}`", f"{value:g}", ranges.get(name, "-")] for name, value in system.params.items()]
    return table(["parameter", "value", "variations"], rows)


def quantities(system: System) -> str:
    """A table of states and controls with units, bounds and bounds of initial states."""
    units = [unit or "-" for unit in system.state_units]
    rows = [
        [f"x{i + 1}", name, unit, interval(box), interval(start)]
        for i, (name, unit, box, start) in enumerate(
            zip(system.state_names, units, system.x_bounds, system.x0_bounds, strict=True)
        )
    ]
    rows += [
        [f"u{i + 1}" if system.m > 1 else "u", name, "-", interval(box), "-"]
        for i, (name, box) in enumerate(zip(system.control_names, system.u_bounds, strict=True))
    ]
    return table(["symbol", "name", "unit", "bounds", "initial values"], rows)


def arguments(system: System) -> str:
    """A table of the arguments of `gym.make`: those of the environments, then the plant's settings."""
    rows = []
    for kind, where in ((TrajectoryEnv, "both"), (ControlEnv, "numbers"), (TextControlEnv, "text")):
        defaults = inspect.signature(kind).parameters
        for name, meaning in described(kind).items():
            if name not in ("system", "settings"):
                rows.append([f"`{name}`", where, f"`{defaults[name].default!r}`", meaning])
    meanings = described(System)
    rows += [[f"`{name}`", "both", f"`{plain(getattr(system, name))}`", meanings[name]] for name in SETTINGS]
    rows += [
        [f"`{name}`", "both", f"`{value:g}`", "parameter of the equation"] for name, value in system.params.items()
    ]
    return table(["argument", "of", "default", "meaning"], rows)


def described(kind: type) -> dict[str, str]:
    """The description of each argument in a class's docstring."""
    sections = griffe.Docstring(inspect.getdoc(kind) or "").parse("google", warnings=False)
    found = (p for section in sections if section.kind.value == "parameters" for p in section.value)
    return {p.name: " ".join(p.description.split()).replace("``", "`").replace("|", r"\|") for p in found}


def overview() -> str:
    """The overview page of all environments."""
    cards = "\n\n".join(
        f"-   [![{heading(s)}]({name}.png)]({name}.md)\n\n    **[{heading(s)}]({name}.md)**\n\n"
        f"    `{env_id(name)}`, `{env_id(name, text=True)}`"
        for name, s in SYSTEMS.items()
    )
    rows = [
        [f"[{heading(s)}]({name}.md)", str(s.n), str(s.m), f"{s.dt:g} s x {s.horizon}", f"`{s.equation_text}`"]
        for name, s in SYSTEMS.items()
    ]
    return f"""---
hide: [toc]
---

# Environments

Each plant has two Gymnasium environments. In the numeric one, an action is the control of one step. In the text one, an
action is a completion with a whole plan. The pages below are generated from the plants' definitions; your own plant
needs one definition too ([an example](../../examples/custom_plant.py)).

<div class="grid cards" markdown>

{cards}

</div>

{table(["plant", "states", "controls", "time", "equation"], rows)}
"""


# -- pieces of text ------------------------------------------------------------------------------------------


def interval(bounds: np.ndarray) -> str:
    """Bounds as text, such as "[-1, 1]"."""
    return "[{:g}, {:g}]".format(*bounds)


def plain(value: object) -> str:
    """A setting as text, a diagonal matrix by its diagonal."""
    if not isinstance(value, np.ndarray):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if value.shape[0] == value.shape[1] and np.array_equal(value, np.diag(np.diag(value))):
        return f"diag({', '.join(f'{v:g}' for v in np.diag(value))})"
    return re.sub(r"\.0\b", "", str(value.tolist()))


def text_space(space: gym.spaces.Text) -> str:
    """A text space as text, without the list of its characters."""
    return f"Text({space.min_length}, {space.max_length}, charset=ASCII)"
