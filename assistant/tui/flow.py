"""The text of an answer as it grows: rows for a width, of which only the last line and what is marked are made anew."""

from collections.abc import Iterable
from dataclasses import replace

from assistant.tui.markdown import Line, Mark, read_lines, with_marks
from assistant.tui.wrapping import Row, wrap


class Flow:
    """One answer's Markdown."""

    def __init__(self) -> None:
        self.text = ""
        self._lines: list[Line] = []
        self._fences: list[str] = []
        """The fence that is open behind each line."""
        self._rows: list[list[Row]] = []
        """Of the first lines, at `_width`; those of the others are not made yet."""
        self._width = 0
        self._marks: list[Mark] = []

    def extend(self, text: str) -> None:
        """Take the next piece of the text."""
        if not text:
            return
        start = self._lines[-1].start if self._lines else 0
        del self._lines[-1:], self._fences[-1:]
        self.text += text
        fence = self._fences[-1] if self._fences else ""
        del self._rows[len(self._lines) :]
        for line, after in read_lines(self.text[start:], start, fence):
            self._lines.append(line)
            self._fences.append(after)

    def mark(self, marks: Iterable[Mark]) -> None:
        """Mark stretches of the text."""
        for each in marks:
            mark = replace(each, end=min(each.end, len(self.text)))  # no mark is lost because it ends too far out
            self._marks.append(mark)
            first = next((place for place, line in enumerate(self._lines) if line.end > mark.start), len(self._lines))
            del self._rows[first:]

    def rows(self, width: int) -> list[Row]:
        """All rows; blank lines at most one in a row."""
        if width != self._width:
            self._rows, self._width = [], width
        for line in self._lines[len(self._rows) :]:
            self._rows.append(wrap(with_marks(line, self._marks), width))
        found: list[Row] = []
        for rows in self._rows:
            if found and not found[-1].pieces and not rows[0].pieces:
                continue
            found += rows
        return found
