"""The rewards section of an environment's page: terms and a score for each version, and the version history."""

import inspect
import re

from control_envs import REWARDS, Trajectory, score
from control_envs.rewards import DEFAULT_VERSION, RewardSpec
from control_envs.rewards import versions as rewards
from control_envs.utils.tables import table


def rewards_section(trajectory: Trajectory) -> str:
    """The section in Markdown, with one tab per version, the default version first."""
    versions = sorted(REWARDS, key=lambda version: version != DEFAULT_VERSION)
    tabs = "\n\n".join(
        f'=== "{version}"\n\n{indented(version_text(REWARDS[version], trajectory))}' for version in versions
    )
    return f"""## Rewards

The reward of a step is the increase of the running score, so that the return of an episode is the score of its
trajectory. `reward_version` chooses the version (default `{DEFAULT_VERSION}`). The last column is the score of the
trajectory in the picture above.

{tabs}

??? info "Version history of the rewards"

{indented(history())}"""


def version_text(spec: RewardSpec, trajectory: Trajectory) -> str:
    """One version: its terms as a table, then its bounds and constants."""
    result = score(trajectory, spec.version)
    rows = [
        [f"`{name}`", first_line(term.func), settings(term.keywords), f"{float(result.terms[name]):.2f}"]
        for name, term in spec.terms.items()
    ]
    floor = "" if spec.floor is None else f"at least {spec.floor:g}"
    rows.append(["**score**", floor, "", f"**{float(result.total):.2f}**"])
    return table(["term", "rewards", "settings", "here"], rows) + "\n\n" + around(spec)


def around(spec: RewardSpec) -> str:
    """The bounds of a version, and its scores and rewards for the format."""
    low, high = spec.bounds
    form = spec.format
    found = ", ".join(f"{value:+g}" for value in form.found)
    return (
        f"Scores of plans lie in [{low:g}, {high:g}]. A text without a plan scores {spec.no_answer:g}, a plan with the "
        f"wrong number of controls {spec.wrong_count:g}. Training adds rewards for the format, the environment does "
        f"not: {form.exact:g} for the exact format; {found} for the three tags, {form.missing:g} for each missing or "
        "repeated tag."
    )


def settings(keywords: dict[str, object]) -> str:
    """The constants of a term."""
    return f"`{', '.join(f'{name}={value}' for name, value in keywords.items())}`" if keywords else ""


def first_line(function) -> str:
    """The first line of a function's docstring."""
    return inspect.getdoc(function).partition("\n")[0].replace("``", "`").replace("|", r"\|")


def history() -> str:
    """The version history in the docstring of `control_envs.rewards.versions`, as a list."""
    text = inspect.getdoc(rewards).partition("Version history\n")[2]
    entries = re.findall(r"^ {4}(\d+\.\d+) +(.*(?:\n {9}.*)*)", text, re.MULTILINE)
    return "\n".join(f"- **{version}** {' '.join(words.split())}" for version, words in entries)


def indented(text: str) -> str:
    """Text indented for a tab."""
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
