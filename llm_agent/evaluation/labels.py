"""What the rows of a run's evaluation are called: the phase that made the model, and how it answers."""

from __future__ import annotations

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
        return cls(phase, decoding) if phase in PHASES else None

    @property
    def is_greedy(self) -> bool:
        """Whether the model writes its most likely completion."""
        return self.decoding == GREEDY
