"""What an engine says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineStats:
    """A look at it."""

    running: int
    waiting: int
    threads: int
    steps: int
    aborted_steps: int
