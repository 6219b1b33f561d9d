"""The environments' pages, in the manner of Gymnasium's: one a plant, made from its `System` and the environments."""

import inspect
import io
import re
import sys
from collections.abc import Iterator
from functools import partial

import gymnasium as gym
import griffe
import numpy as np
from matplotlib.image import imsave
from rewards_of import rewards_section

from baselines.lqr import fly_feedback, lqr
from baselines.tables import table
from control_envs import SYSTEMS, System, env_id, format_completion
from control_envs.envs import ControlEnv, FlightEnv, TextControlEnv

SETTINGS = ("dt", "horizon", "x_bounds", "u_bounds", "x0_bounds", "Q", "R")


def navigation() -> list:
    """The navigation's entries."""
    return ["environments/index.md", *({heading(system): f"environments/{name}.md"} for name, system in SYSTEMS.items())]


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Each page's and picture's path in the site, and its content."""
    yield "environments/index.md", overview()
    for name, system in SYSTEMS.items():
        env, completion = flown(system)
        yield f"environments/{name}.png", picture(env)
        yield f"environments/{name}.md", page(system, env, completion)


def heading(system: System) -> str:
    """A plant's name as a title: "Double integrator", "Double integrator (hard)"."""
    title = system.title.partition(" ")[2]
    same = [name for name, other in SYSTEMS.items() if other.title == system.title]
    variant = system.name.removeprefix(same[0]).strip("_").replace("_", " ")
    return title[0].upper() + title[1:] + (f" ({variant})" if variant else "")


def flown(system: System) -> tuple[gym.Env, str]:
    """A text environment after its first episode, seed 0, answered with LQR's plan; and that answer."""
    env = gym.make(env_id(system.name, text=True), render_mode="rgb_array", disable_env_checker=True)
    _, info = env.reset(seed=0)
    plan = fly_feedback(system, info["x0"], lqr(system)[0], decimals=2).u
    completion = format_completion(plan, "LQR's plan")
    env.step(completion)
    return env, completion


def picture(env: gym.Env) -> bytes:
    """What the environment renders, as PNG."""
    file = io.BytesIO()
    imsave(file, env.render())
    return file.getvalue()


# -- one page ------------------------------------------------------------------------------------------------


def page(system: System, env: gym.Env, completion: str) -> str:
    """A plant's page."""
    numeric, text = env_id(system.name), env_id(system.name, text=True)
    box = gym.make(numeric, disable_env_checker=True)
    shown, dots = completion[:110], " ..." if len(completion) > 110 else ""
    prompt, _ = gym.make(text, disable_env_checker=True).reset(seed=0)
    return f"""# {heading(system)}

![a flight of {system.title}](../{system.name}.png)

{about(system)}

| | numbers in and out | text in and out |
|---|---|---|
| make | `gym.make("control_envs:{numeric}")` | `gym.make("control_envs:{text}")` |
| action space | `{box.action_space}` | `{text_space(env.action_space)}` |
| observation space | `{box.observation_space}` | `{text_space(env.observation_space)}` |
| an episode | {system.horizon} steps of {system.dt:g} s | 1 step, unless `replan_every` is given |
| many at once | `gym.make_vec("{numeric}", num_envs=1024, vectorization_mode="vector_entry_point")` | `gym.make_vec("{text}", ...)` |

## Equation

    {system.equation_text}

Integrated by the classical Runge-Kutta method, controls held for {system.dt:g} s. States are never clamped: a flight that leaves
its box goes on, and is counted; controls outside their bounds are saturated, and counted.

{parameters(system)}

## States and controls

{quantities(system)}

The picture shows LQR's plan from the state of `reset(seed=0)`. The numeric environment observes the state and takes
actions in [-1, 1], which span the controls' bounds (`action_units="physical"` for the controls themselves).

## Text

The prompt of `reset(seed=0)`:

```text
{prompt}
```

A completion, cut short here:

```text
{shown}{dots}
```

`info["verdict"]` says how it was read; a text without a plan ends the episode with the reward for no answer. A step never
raises, whatever the text.

## Cost

The cost J is the sum of x'Qx + u'Ru over the {system.horizon} controls plus five times x'Qx of the last state, with states divided by
their bound and controls by a third of theirs; Q = `{plain(system.Q)}`, R = `{plain(system.R)}`.
A flight succeeds that ends within 0.1 of the origin in these units and violates no bound.

{rewards_section(env.unwrapped.trajectory)}

## Arguments of `gym.make`

{arguments(system)}

## Episode

An episode starts from a state drawn uniformly from the two-decimal grid of the initial box, or from
`reset(options={{"x0": [...]}})`. It ends with `terminated` after {system.horizon} controls; nothing is truncated. `info` has `x0`,
`reward_terms`, `metrics` and `trajectory`; for text also `verdict` and `parsed_controls`.

## Versions

`{numeric}` and `{text}` are the first version. A published version never changes; rewards have versions of their own, above.
"""


def about(system: System) -> str:
    """The docstring of the plant's file, and what a variant differs in from the plant it is one of."""
    text = inspect.cleandoc(sys.modules[system.vector_field.__module__].__doc__ or "")
    base = next(other for other in SYSTEMS.values() if other.title == system.title)
    if base is system:
        return text
    own, its = system.to_dict(), base.to_dict()
    rows = [
        [f"`{key}`", f"`{plain(getattr(base, key))}`", f"`{plain(getattr(system, key))}`"]
        for key in SETTINGS
        if own[key] != its[key]
    ]
    return f"{text}\n\nWhat differs from [{env_id(base.name)}]({base.name}.md):\n\n{table(['setting', 'there', 'here'], rows)}"


def parameters(system: System) -> str:
    """The vector field's parameters and the ranges that variations draw from."""
    if not system.params:
        return ""
    ranges = {name: "{:g} to {:g}".format(*span) for name, span in system.param_ranges.items()}
    rows = [[f"`{name}`", f"{value:g}", ranges.get(name, "-")] for name, value in system.params.items()]
    return table(["parameter", "value", "variations"], rows)


def quantities(system: System) -> str:
    """States and controls with their units, boxes and initial boxes."""
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
    return table(["symbol", "name", "unit", "to keep within", "starts within"], rows)


def arguments(system: System) -> str:
    """What `gym.make` takes: the environments' own arguments, then the plant's settings."""
    rows = []
    for kind, where in ((FlightEnv, "both"), (ControlEnv, "numbers"), (TextControlEnv, "text")):
        defaults = inspect.signature(kind).parameters
        for name, meaning in described(kind).items():
            if name not in ("system", "settings"):
                rows.append([f"`{name}`", where, f"`{defaults[name].default!r}`", meaning])
    meanings = described(System)
    rows += [[f"`{name}`", "both", f"`{plain(getattr(system, name))}`", meanings[name]] for name in SETTINGS]
    rows += [[f"`{name}`", "both", f"`{value:g}`", "parameter of the equation"] for name, value in system.params.items()]
    return table(["argument", "of", "default", "meaning"], rows)


def described(kind: type) -> dict[str, str]:
    """Each argument's sentence in a class's docstring."""
    sections = griffe.Docstring(inspect.getdoc(kind) or "").parse("google", warnings=False)
    found = (p for section in sections if section.kind.value == "parameters" for p in section.value)
    return {p.name: " ".join(p.description.split()).replace("``", "`").replace("|", r"\|") for p in found}


def overview() -> str:
    """The page that shows all of them."""
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

Every plant is two Gymnasium environments: one with numbers in and out, one control a step; and one with text in and out,
where an action is a completion that holds a whole plan. Each page below is made from the plant's definition.

<div class="grid cards" markdown>

{cards}

</div>

{table(["plant", "states", "controls", "time", "equation"], rows)}
"""


# -- pieces of text ------------------------------------------------------------------------------------------


def interval(bounds: np.ndarray) -> str:
    """Bounds as an interval."""
    return "[{:g}, {:g}]".format(*bounds)


def plain(value: object) -> str:
    """A setting as one would write it: a diagonal matrix by its diagonal."""
    if isinstance(value, np.ndarray):
        square = value.ndim == 2 and value.shape[0] == value.shape[1]
        diagonal = square and np.array_equal(value, np.diag(np.diag(value)))
        return f"diag({', '.join(f'{v:g}' for v in np.diag(value))})" if diagonal else re.sub(r"\.0\b", "", str(value.tolist()))
    return f"{value:g}" if isinstance(value, float) else str(value)


def text_space(space: gym.spaces.Text) -> str:
    """A text space without its hundred characters."""
    return f"Text({space.min_length}, {space.max_length}, charset=ASCII)"
