"""Runs of text broken between words into rows of a width, measured in the terminal's cells."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len

from assistant.tui.markdown import Line, Link, Run

_PIECE = re.compile(r"\s+|\S+")
_TAB = "    "


@dataclass(frozen=True)
class Piece:
    """Characters of one row that look alike."""

    text: str
    style: str
    link: Link | None = None


@dataclass(frozen=True)
class Row:
    """One row of the screen; `start` is the place in the source of its first character, None where it has none."""

    pieces: tuple[Piece, ...] = ()
    start: int | None = None

    @property
    def text(self) -> str:
        """Its characters."""
        return "".join(piece.text for piece in self.pieces)


@dataclass
class _Open:
    """The row that is being filled."""

    prefix: str
    pieces: list[Piece] = field(default_factory=list)
    cells: int = 0
    start: int | None = None

    def add(self, run: Run, cells: int) -> None:
        if self.start is None:
            self.start = run.start
        if self.pieces and self.pieces[-1].style == run.style and self.pieces[-1].link == run.link:
            run = Run(self.pieces.pop().text + run.text, run.style, run.start, run.link)
        self.pieces.append(Piece(run.text, run.style, run.link))
        self.cells += cells

    def row(self) -> Row:
        prefix = (Piece(self.prefix, "dim"),) if self.prefix else ()
        return Row((*prefix, *self.pieces), self.start)


def wrap(line: Line, width: int) -> list[Row]:
    """The rows of a line, at least one; code keeps its spaces and is broken where it must."""
    first, rest = line.first, line.rest
    if max(cell_len(first), cell_len(rest)) > width // 2:
        first = rest = ""
    room, later = max(width - cell_len(first), 1), max(width - cell_len(rest), 1)
    rows: list[Row] = []
    row = _Open(first)
    for space, word in _words(line.runs, whole=line.is_code):
        cells, gap = _cells(word), _cells(space)
        if row.cells and row.cells + gap + cells > room:
            rows.append(row.row())
            row, room = _Open(rest), later
        elif row.cells or not rows:
            for part in space:
                row.add(part, cell_len(part.text))
        for part in word if row.cells + cells <= room else _characters(word):  # what never pauses is shown all the same
            size = cell_len(part.text)
            if row.cells and row.cells + size > room:
                rows.append(row.row())
                row, room = _Open(rest), later
            row.add(part, size)
    rows.append(row.row())
    return rows


def _cells(parts: Sequence[Run]) -> int:
    return sum(cell_len(part.text) for part in parts)


def _words(runs: Sequence[Run], *, whole: bool) -> Iterator[tuple[list[Run], list[Run]]]:
    """Each word over the runs that it is made of, behind the space before it; a line of code is one word."""
    space: list[Run] = []
    word: list[Run] = []
    for run in runs:
        for found in re.finditer(r"(?s).+", run.text) if whole else _PIECE.finditer(run.text):
            text, start = found[0].replace("\t", _TAB), None if run.start is None else run.start + found.start()
            part = Run(text, run.style, start, run.link)
            if whole or not text.isspace():
                word.append(part)
                continue
            if word:
                yield space, word
                space, word = [], []
            space.append(part)
    yield space, word


def _characters(word: Sequence[Run]) -> Iterator[Run]:
    for part in word:
        for place, character in enumerate(part.text):
            yield Run(character, part.style, None if part.start is None else part.start + place, part.link)
