"""The answers of a served model, kept in a file as they arrive, so that no prompt is paid for twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from baselines.controllers.text import Completion, Failure

__all__ = ["Answer", "AnswerFile", "key_of"]


@dataclass(frozen=True)
class Answer:
    """What a server sent for one prompt.

    Attributes:
        text: the answer.
        thoughts: the model's reasoning, where the server keeps it apart (``reasoning_content`` or ``reasoning``).
        finish_reason: why it ended: "stop", "length", "content_filter", or what else the server says.
        served_by: the model's name in the server's own words.
        prompt_tokens: as the server counts them; 0 where it does not.
        completion_tokens: the same, thoughts included.
        seconds: from sending the request to the whole answer, retries included.
    """

    text: str
    thoughts: str = ""
    finish_reason: str = "stop"
    served_by: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def completion(self) -> Completion:
        """The text for the parser, and why it may hold no plan."""
        failures: dict[str, Failure] = {"length": "truncated", "content_filter": "refused", "refusal": "refused"}
        return Completion(self.text, failures.get(self.finish_reason))


class AnswerFile:
    """A JSONL file of answers: one object a line, appended as answers arrive.

    A line that a killed process left half-written is skipped.

    Args:
        path: the file; it need not exist.

    Raises:
        ValueError: the file exists and holds something else.
    """

    def __init__(self, path: Path):
        self.path = path
        self._answers: dict[str, Answer] = {}
        self._ended = True  # whether the file ends with a line break
        if path.is_file():
            self._read()

    def _read(self) -> None:
        content = self.path.read_bytes()
        self._ended = not content or content.endswith(b"\n")
        names = {field.name for field in fields(Answer)}
        for number, line in enumerate(lines := content.splitlines(), 1):
            try:
                record = json.loads(line)
                answer = Answer(**{name: value for name, value in record.items() if name in names})
                self._answers[record["key"]] = answer
            except (ValueError, TypeError, KeyError, AttributeError):
                if number == 1 and len(lines) > 1:
                    raise ValueError(f"{self.path} is not a file of answers: choose another --answers") from None

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """The answer that is kept for a key of `key_of`, or None."""
        return self._answers.get(key)

    def add(self, key: str, request: Mapping[str, Any], answer: Answer) -> None:
        """Keeps an answer, with the request that it belongs to."""
        self._answers[key] = answer
        record = {"key": key, "created": datetime.now(UTC).isoformat(timespec="seconds"), **request, **asdict(answer)}
        line = json.dumps(record, ensure_ascii=True) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="ascii") as file:  # one write: two processes may share the file
            file.write(line if self._ended else "\n" + line)
        self._ended = True


def key_of(request: Mapping[str, Any]) -> str:
    """A hash of everything that decides an answer."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:32]
