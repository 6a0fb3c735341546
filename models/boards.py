"""The boards that Bedside plans for: memory and bandwidth, each figure with its source (boards.toml)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.errors import ModelNotFoundError
from models.tables import read_rows

MODEL_SHARE = 0.85
"""Of a board's memory, what the system and this program leave to a model: an assumption, not a measurement."""


@dataclass(frozen=True)
class Board:
    """One board. `bandwidth_gb_s` is the theoretical peak in 10**9 bytes per second."""

    id: str
    name: str
    accelerator: str
    memory_gib: int
    memory_source: str
    bandwidth_gb_s: float
    bandwidth_source: str

    @property
    def memory_bytes(self) -> int:
        """Memory soldered on, in bytes; the system needs its part of it."""
        return self.memory_gib << 30

    @property
    def usable_bytes(self) -> int:
        """What is left to a model: weights, cache and compute buffers."""
        return int(self.memory_bytes * MODEL_SHARE)


@cache
def boards() -> tuple[Board, ...]:
    """All boards, in the order of the file."""
    return read_rows(Path(__file__).with_name("boards.toml"), "board", Board)


def find_board(board_id: str) -> Board:
    """The board of that id.

    Raises:
        ModelNotFoundError: naming the boards there are.
    """
    for board in boards():
        if board.id == board_id:
            return board
    raise ModelNotFoundError(f"no board {board_id!r}: use one of {', '.join(board.id for board in boards())}")
