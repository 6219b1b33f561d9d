"""The rewards' part of an environment's page: every version's terms and its score of one trajectory, and the history."""

import inspect
import re

from control_envs import REWARDS, Trajectory, rewards, score
from control_envs.rewards import DEFAULT_VERSION, RewardSpec
from control_envs.utils.tables import table


def rewards_section(trajectory: Trajectory) -> str:
    """Markdown, with a tab for each version; the default's stands first."""
    versions = sorted(REWARDS, key=lambda version: version != DEFAULT_VERSION)
    tabs = "\n\n".join(
        f'=== "{version}"\n\n{indented(version_text(REWARDS[version], trajectory))}' for version in versions
    )
    return f"""## Rewards

A step's reward is what it adds to the running score, so that an episode's return is the score of its trajectory.
`reward_version` chooses one of these (the default is `{DEFAULT_VERSION}`). The last column is the picture's trajectory.

{tabs}

??? info "Version history of the rewards"

{indented(history())}"""


def version_text(spec: RewardSpec, trajectory: Trajectory) -> str:
    """One version: its terms as a table, and what else it says."""
    result = score(trajectory, spec.version)
    rows = [
        [f"`{name}`", first_line(term.func), settings(term.keywords), f"{float(result.terms[name]):.2f}"]
        for name, term in spec.terms.items()
    ]
    floor = "" if spec.floor is None else f"at least {spec.floor:g}"
    rows.append(["**score**", floor, "", f"**{float(result.total):.2f}**"])
    return table(["term", "rewards", "settings", "here"], rows) + "\n\n" + around(spec)


def around(spec: RewardSpec) -> str:
    """What a version says beside its terms."""
    low, high = spec.bounds
    form = spec.format
    found = ", ".join(f"{value:+g}" for value in form.found)
    return (
        f"Scores of plans lie in [{low:g}, {high:g}]; a text without a plan scores {spec.no_answer:g}, one with "
        f"the wrong number of controls {spec.wrong_count:g}. Rewards for the format, which training adds and the "
        f"environment does not: {form.exact:g} for the whole format; {found} for the three tags, {form.missing:g} for "
        "each that is amiss."
    )


def settings(keywords: dict[str, object]) -> str:
    """A term's constants."""
    return f"`{', '.join(f'{name}={value}' for name, value in keywords.items())}`" if keywords else ""


def first_line(function) -> str:
    """A docstring's first line."""
    return inspect.getdoc(function).partition("\n")[0].replace("``", "`").replace("|", r"\|")


def history() -> str:
    """The version history in the docstring of `control_envs.rewards`, as a list."""
    text = inspect.getdoc(rewards).partition("Version history\n")[2]
    entries = re.findall(r"^ {4}(\d+\.\d+) +(.*(?:\n {9}.*)*)", text, re.MULTILINE)
    return "\n".join(f"- **{version}** {' '.join(words.split())}" for version, words in entries)


def indented(text: str) -> str:
    """Text inside a tab."""
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
