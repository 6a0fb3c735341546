"""The answer on a terminal or in a pipe: text as it comes, then sources, warnings, evidence and speed."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.status import Status
from rich.text import Text

from assistant.ask.answer import MAX_ANSWER_TOKENS, Answer
from assistant.knowledge.citations import Check
from assistant.knowledge.claims.marks import cited_numbers, without_marks
from assistant.knowledge.evidence import declines
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain_line
from assistant.safety.views import Line, status, wrapped

_MAX_WIDTH = 100
_SHOWN_DIGITS = 12  # of a file's sha256
_MAX_QUOTE = 160  # characters of a sentence that a warning repeats
_REASONS = {
    "number": "number not in the source for this",
    "unit": "another unit in the source",
    "drug": "drug not in the source for this",
    "negation": "the source says the opposite",
    "overlap": "the source does not say this",
}
_EVIDENCE = {
    "out_of_scope": "out of scope - the library holds no passage on this; --knowledge off asks the model alone",
    "off": "off - answered without passages; nothing here was checked",
}


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
            if not following or _origin(following[0]) != _origin(source):  # once for the sections of one document
                self._line(f"    {_origin(source)}.", "dim", indent="    ")

    def _line(self, text: str, style: str = "", indent: str = "") -> None:
        for line in wrapped(Line(text, style, indent), self._width):
            self._console.print(Text(line, style=style))


def _origin(source: LibraryPassage) -> str:
    if source.follows:
        return f"Follows {plain_line(source.follows)}"
    return f"From {plain_line(source.source) or 'a document of the library'}, {plain_line(source.licence) or 'no licence given'}"


def warnings(answer: Answer) -> Iterator[str]:
    """One line for each sentence that its source does not support, and for an answer cut short."""
    for check in answer.checks:
        if check.status != "supported":
            yield f"{_fault(check)}: {_quoted(answer, check)}"
    reason = answer.usage["bedside"]["finish_reason"]
    if reason == "repetition":
        yield "the model began to repeat itself and was stopped"
    if reason in ("length", "context"):
        yield f"the answer was cut off at its limit (at most {MAX_ANSWER_TOKENS} tokens)"


def found_sources(answer: Answer) -> Iterator[str]:
    """One line for each sentence whose source the check found: the text itself has no mark, or a wrong one."""
    for check in answer.checks:
        if check.by == "host":
            said = cited_numbers(answer.text[check.start : check.end])
            instead = f", not {_marks(said)}" if said else ""
            yield f"{_marks(check.cites)}{instead} is the source of {_quoted(answer, check)}"


def _quoted(answer: Answer, check: Check) -> str:
    sentence = plain_line(without_marks(answer.text[check.start : check.end]))
    return f"“{textwrap.shorten(sentence, _MAX_QUOTE, placeholder=' …')}”"


def _marks(numbers: Sequence[int]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def _fault(check: Check) -> str:
    if check.status == "uncited":
        return "no source given"
    return f"not supported by {_marks(check.cites)} ({'; '.join(_REASONS[reason] for reason in check.reasons)})"


def evidence(answer: Answer) -> str:
    """The evidence status in words."""
    if answer.refused:
        return "none - refused, no model was asked"
    if answer.evidence in _EVIDENCE:
        return _EVIDENCE[answer.evidence]
    if declines(answer.text):
        return "insufficient - the passages above are the nearest that the library holds; read them yourself"
    supported = sum(check.status == "supported" for check in answer.checks)
    told = f"{supported} of {len(answer.checks)} sentences supported by the source they cite"
    if answer.evidence == "sufficient":
        return f"sufficient - {told}"
    return f"insufficient - {told}; do not rely on the answer, read the passages themselves"


def summary(answer: Answer) -> str:
    """Speed, time to first token, energy where it was measured, and the model's notice in one line."""
    usage = answer.usage["bedside"]
    if usage["time_to_first_token_s"] is None:
        parts = ["no text generated"]
    else:
        speed = usage["decode_tokens_per_s"]
        parts = [f"{speed:.1f} tok/s"] if speed is not None else ["speed not measured (one token)"]
        parts.append(f"first token {usage['time_to_first_token_s']:.2f} s")
    if usage["joules"] is not None:
        estimated = ", estimated" if usage["kind"] == "estimated" else ""
        parts.append(f"{usage['joules']:.1f} J at {usage['watts']:.1f} W ({plain_line(usage['scope'])}{estimated})")
        parts.append(f"{usage['tokens_per_joule']:.2f} tok/J")
    if answer.notice:
        parts.append(answer.notice)
    return " · ".join(parts)


def made_with(answer: Answer) -> str:
    """Model, libraries and program with their versions, in one line."""
    made = answer.versions
    libraries = [f"library {plain_line(name)} {plain_line(version)}" for name, version in made.libraries.items()]
    model = f"model {plain_line(answer.model)} {plain_line(made.model_sha256)[:_SHOWN_DIGITS]}"
    return f"Made with: {' · '.join([model, *libraries, f'bedside {plain_line(made.bedside)}'])}"
