"""What the rows of a run's evaluation are called: the phase that made the model, and how it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PHASES = ("SFT", "GRPO")
GREEDY = "greedy"


@dataclass(frozen=True)
class Label:
    """The name of a row: "GRPO greedy".

    Attributes:
        phase: one of `PHASES`.
        decoding: "greedy", "sampled", or "best of 16".
    """

    phase: str
    decoding: str

    def __str__(self) -> str:
        return f"{self.phase} {self.decoding}"

    @classmethod
    def parse(cls, name: str) -> Label | None:
        """The label of a row of that name; None if the row is not one of the run's own models."""
        phase, _, decoding = name.partition(" ")
        return cls(phase, decoding) if phase in PHASES and decoding else None

    @property
    def is_greedy(self) -> bool:
        """Whether the model writes its most likely completion."""
        return self.decoding == GREEDY


def is_model(name: str) -> bool:
    """Whether a row of a run's evaluation is one of the run's own models."""
    return Label.parse(name) is not None


def greedy_models(names: Iterable[str]) -> list[str]:
    """The rows, of those of the names, that are a model's most likely completions, in their order."""
    return [name for name in names if (label := Label.parse(name)) and label.is_greedy]
