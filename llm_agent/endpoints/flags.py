"""The flags of commands that ask served models."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from control_envs.utils.commands import at_least
from control_envs.utils.files import check_output_file
from llm_agent.endpoints.policy import PREFIX, EndpointPolicy

__all__ = ["add_endpoint_flags", "check_endpoint_flags", "endpoint_of", "is_endpoint", "refuse_unused"]

_FLAGS: dict[str, dict[str, Any]] = {
    "base_url": {"metavar": "URL", "help": "such as http://127.0.0.1:8000/v1 (default $OPENAI_BASE_URL, or OpenAI's)"},
    "api_key_env": {"metavar": "NAME", "help": "environment variable that holds the key (OPENAI_API_KEY)"},
    "concurrency": {"type": at_least(1), "metavar": "N", "help": "requests at a time (16)"},
    "timeout": {"type": at_least(0.001, float), "metavar": "S", "help": "seconds until a request is retried (600)"},
    "max_retries": {"type": at_least(0), "metavar": "N", "help": "retries of a request, with backoff (8)"},
    "requests_per_minute": {"type": at_least(0.001, float), "metavar": "N", "help": "rate limit (none)"},
    "temperature": {"type": at_least(0, float), "help": "of sampled answers (1.0)"},
    "extra_body": {"metavar": "JSON", "help": 'further fields of each request, such as {"min_p": 0.05}'},
    "prices": {"metavar": "IN,OUT", "help": "of a million prompt and completion tokens: the cost is printed"},
    "answers": {"type": Path, "metavar": "FILE", "help": "JSONL file of kept answers (in the user's cache folder)"},
}


def add_endpoint_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the settings of `EndpointPolicy` to a command."""
    group = parser.add_argument_group(f"served models ({PREFIX}MODEL)")
    for name, settings in _FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", default=None, **settings)


def is_endpoint(name: str) -> bool:
    """Whether a model's name in a command is that of a served model."""
    return name.startswith(PREFIX)


def check_endpoint_flags(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `EndpointPolicy` that the flags give.

    Raises:
        ValueError: a flag cannot be read.
    """
    given = {name: value for name in _FLAGS if (value := getattr(args, name)) is not None}
    if "extra_body" in given:
        given["extra_body"] = _object(given["extra_body"])
    if "prices" in given:
        given["prices"] = _prices(given["prices"])
    if "answers" in given:
        check_output_file(given["answers"], "--answers")
    return given


def endpoint_of(name: str, args: argparse.Namespace) -> EndpointPolicy:
    """The served model that a name ``endpoint:MODEL`` and the flags describe; errors as for `EndpointPolicy`."""
    return EndpointPolicy(name.removeprefix(PREFIX), max_new_tokens=args.max_new_tokens, **check_endpoint_flags(args))


def refuse_unused(args: argparse.Namespace, names: list[str]) -> None:
    """Refuses flags of served models where no model is served.

    Raises:
        ValueError: such a flag is given.
    """
    given = next((name for name in _FLAGS if getattr(args, name) is not None), None)
    if given and not any(map(is_endpoint, names)):
        raise ValueError(f"--{given.replace('_', '-')} is for served models: name one as {PREFIX}MODEL")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"--extra-body {text!r} is not a JSON object: give one such as '{{\"min_p\": 0.05}}'")
    return value


def _prices(text: str) -> tuple[float, float]:
    try:
        prices = tuple(float(part) for part in text.split(","))
    except ValueError:
        prices = ()
    if len(prices) != 2 or not all(0 <= price < float("inf") for price in prices):
        raise ValueError(f"--prices {text!r} must be two prices of a million tokens: IN,OUT, such as 0.15,0.60")
    return prices[0], prices[1]
