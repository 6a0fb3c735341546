"""The answer on a terminal or in a pipe: text as it comes, then sources, warnings, evidence and speed."""

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.status import Status
from rich.text import Text

from assistant.client.answer import Answer
from assistant.client.wording import evidence, found_sources, made_with, origin, summary, warnings
from assistant.plaintext import plain_line
from assistant.safety.views import Line, status, wrapped

_MAX_WIDTH = 100


class WrappingWriter:
    """Writes text as it comes, broken between words at `width` columns; None leaves lines as they are."""

    def __init__(self, stream: TextIO, width: int | None) -> None:
        self._stream = stream
        self._width = width
        self._column = 0
        self._word = ""
        self._space = ""

    def write(self, text: str) -> None:
        """Write what is certain: a word appears once its end is known."""
        if self._width is None:
            self._stream.write(text)
        else:
            for character in text:
                self._take(character)
        self._stream.flush()

    def finish(self) -> None:
        """Write the last word and end the line."""
        self._end_word()
        self._stream.write("\n")
        self._stream.flush()

    def _take(self, character: str) -> None:
        if not character.isspace():
            self._word += character
            if self._width is not None and cell_len(self._word) >= self._width:
                self._end_word()  # what never pauses for a space is shown all the same
            return
        self._end_word()
        if character == "\n":
            self._stream.write("\n")
            self._column, self._space = 0, ""
        else:
            self._space += " "

    def _end_word(self) -> None:
        if not self._word:
            return
        size = cell_len(self._word)
        if self._width is not None and self._column + len(self._space) + size > self._width:
            self._stream.write("\n" if self._column else "")
            self._column, self._space = 0, ""
        self._stream.write(self._space + self._word)
        self._column += len(self._space) + size
        self._word = self._space = ""


class Screen:
    """Shows one answer: phases on standard error while waiting, everything else on standard output."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        terminal = self._stream.isatty()
        width = min(shutil.get_terminal_size().columns, _MAX_WIDTH) if terminal else None
        self._width = width
        self._console = Console(file=self._stream, width=width, soft_wrap=not terminal, markup=False, highlight=False)
        self._writer = WrappingWriter(self._stream, width)
        self._open_line = False
        self._status: Status | None = None

    def phase(self, text: str) -> None:
        """Say what happens now, where somebody watches; the message goes when text comes."""
        if self._status is None:
            console = Console(stderr=True)
            if not console.is_terminal:
                return
            self._status = Status(text, console=console)
            self._status.start()
        self._status.update(text)

    def _stop_phase(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def close(self) -> None:
        """Take the progress message away and leave an unfinished answer on a line of its own."""
        self._stop_phase()
        if self._open_line:
            self._writer.finish()
            self._open_line = False

    def flagged(self, lines: Sequence[Line]) -> None:
        """Show red flags, before the answer begins."""
        self._stop_phase()
        for line in lines:
            self._line(*line)
        if lines:
            self._line("")

    def piece(self, text: str) -> None:
        """Show the next piece of the answer."""
        self._stop_phase()
        self._open_line = True
        self._writer.write(text)

    def answer(self, answer: Answer) -> None:
        """Show what belongs under the answer."""
        self.close()
        if not answer.text:
            self._line("(the model gave no answer)")
        for warning in warnings(answer):
            self._line("")
            self._line(f"warning: {warning}", "yellow", indent="         ")
        for found in found_sources(answer):
            self._line("")
            self._line(found, "dim", indent="    ")
        if answer.sources:
            self._sources(answer)
        self._line("")
        self._line(f"Evidence: {evidence(answer)}", indent="          ")
        self._line(f"Red flags: {status(answer.red_flags)}", indent="           ")
        self._line(made_with(answer), "dim", indent="           ")
        self._line(summary(answer), "dim")

    def _sources(self, answer: Answer) -> None:
        cited = {number for check in answer.checks if check.status == "supported" for number in check.cites}
        self._line("")
        self._line("Sources", "bold")
        for number, source in enumerate(answer.sources, start=1):
            style = "" if number in cited else "dim"
            heading = f"[{number}] {plain_line(source.grounding.heading)} ({plain_line(source.date) or 'no date'})"
            self._line(heading, style, indent="    ")
            if answer.evidence == "insufficient":  # then the passages themselves are the answer
                self._line(f"    {plain_line(source.grounding.text)}", indent="    ")
            following = answer.sources[number : number + 1]
            if not following or origin(following[0]) != origin(source):  # once for the sections of one document
                self._line(f"    {origin(source)}.", "dim", indent="    ")

    def _line(self, text: str, style: str = "", indent: str = "") -> None:
        for line in wrapped(Line(text, style, indent), self._width):
            self._console.print(Text(line, style=style))
