"""What a part of the benchmark found: a line of the table each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`ratio` is ours over the peer's where more is better, and the other way round for times; `goal` what it should reach."""

    what: str
    ours: str
    peer: str
    ratio: float | None = None
    goal: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the goal is reached; empty where there is none."""
        if self.ratio is None or self.goal is None:
            return ""
        return "reached" if self.ratio >= self.goal else "missed"
