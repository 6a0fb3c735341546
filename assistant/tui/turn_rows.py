"""A turn as rows of the screen: question, red flags, sources, answer, and what belongs under it."""

import textwrap
from collections.abc import Iterator, Sequence

from assistant.client.wording import evidence, found_sources, made_with, of_whole, summary
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain, plain_line
from assistant.safety.views import finding_lines, status
from assistant.tui.markdown import Line, Link, Run
from assistant.tui.readings import clipped
from assistant.tui.turn import Turn
from assistant.tui.wrapping import Piece, Row, wrap

_NOTE_ROWS = 3
_MOST_ROWS = 3  # of the banner below its title; the first red flag is shown whole whatever it takes
_FLAG_STYLES = {"bold reverse": "flag", "bold": "strong", "dim": "dim", "": ""}
_BLANK = Row()
LOW, _TALL = 14, 30
"""Rows of the screen below which the banner of red flags takes one of them, and from which it takes more."""


def turn_rows(turn: Turn, width: int, versions: tuple[int, int] = (1, 1)) -> list[Row]:
    """All rows; `versions` are the place of this one among what could stand here, and their number."""
    rows = [Row((Piece("▌ You", "who"),))]
    rows += _note_rows(turn, width)
    rows += _plain_rows(turn.exchange.question.text, width)
    rows.append(_BLANK)
    if flags := turn.told.fields.get("red_flags"):
        for line in finding_lines(flags, turn.texts):
            rows += _wrapped([Run(line.text, _FLAG_STYLES[line.style])], width, line.indent)
        if flags["findings"]:
            rows.append(_BLANK)
    rows.append(_title(turn))
    rows += _source_rows(turn, width)
    if turn.text:
        rows += turn.flow.rows(width)
    rows += _end_rows(turn, width, versions)
    rows.append(_BLANK)
    return rows


def _title(turn: Turn) -> Row:
    notice = turn.told.fields.get("notice")
    name = Piece("▌ Bedside", "who")
    return Row((name, Piece(f"  {plain_line(notice)}", "notice")) if notice else (name,))


def _note_rows(turn: Turn, width: int) -> Iterator[Row]:
    note = turn.exchange.note
    if note is None:
        return
    rows = _plain_rows(note.text, width)
    hidden = len(rows) - _NOTE_ROWS
    yield Row((Piece("Patient note", "strong"),))
    yield from rows if turn.is_note_open else rows[:_NOTE_ROWS]
    if hidden > 0:
        told = "▴ show less of the note" if turn.is_note_open else f"▾ {hidden} more rows of the note"
        yield Row((Piece(told, "action", ("note", "")),))
    yield _BLANK


def _plain_rows(text: str, width: int) -> list[Row]:
    rows: list[Row] = []
    for line in plain(text).split("\n"):
        rows += _wrapped([Run(line, "user")], width)
    return rows


def _wrapped(runs: Sequence[Run], width: int, rest: str = "", first: str = "") -> list[Row]:
    return wrap(Line(0, 0, tuple(runs), first, rest), width)


def _source_rows(turn: Turn, width: int) -> Iterator[Row]:
    """The passages that are new in the conversation, by name; the others by number."""
    sources = list(enumerate(turn.told.sources, start=1))
    for number, source in sources:
        if source.id not in turn.known:
            heading = [Run(f"[{number}]", "cite", None, ("source", str(number))), Run(f" {heading_of(source)}", "dim")]
            yield from _wrapped(heading, width, "    ")
    if before := [number for number, source in sources if source.id in turn.known]:
        marks = [Run(f" [{number}]", "cite", None, ("source", str(number))) for number in before]
        yield from _wrapped([Run("from before:", "dim"), *marks], width, "    ")
    if sources:
        yield _BLANK


def heading_of(source: LibraryPassage) -> str:
    """Title, section and date in one line."""
    return f"{plain_line(source.grounding.heading)} ({plain_line(source.date) or 'no date'})"


def _end_rows(turn: Turn, width: int, versions: tuple[int, int]) -> Iterator[Row]:
    if turn.is_running:
        return
    if dropped := turn.told.fields.get("dropped_messages"):
        yield from _wrapped([Run(f"! {dropped} earlier messages were left out: they no longer fit", "warning")], width)
    if turn.state == "complete":
        yield from _judged_rows(turn, width)
    elif turn.state == "stopped":
        yield from _wrapped(
            [Run(f"■ {turn.fault or 'stopped'}; what is here was not judged as a whole", "warning")], width
        )
    else:
        yield from _wrapped([Run(f"! {turn.fault}", "warning")], width)
    yield Row(_actions(turn, versions))


def _judged_rows(turn: Turn, width: int) -> Iterator[Row]:
    answer = turn.told.answer()
    if not answer.text:
        yield from _wrapped([Run("(the model gave no answer)", "dim")], width)
    yield _BLANK
    for warning in of_whole(answer):
        yield from _wrapped([Run(f"! {warning}", "warning")], width)
    for found in found_sources(answer):
        yield from _wrapped([Run(found, "dim")], width, "    ")
    sure = answer.evidence == "sufficient"
    told = [
        Run("Evidence: ", "strong"),
        Run(("✓ " if sure else "! ") + evidence(answer), "good" if sure else "warning"),
    ]
    yield from _wrapped(told, width, "  ")
    yield from _wrapped([Run(f"Red flags: {status(answer.red_flags)}", "dim")], width, "  ")
    if turn.is_detailed:
        yield from _wrapped([Run(made_with(answer), "dim")], width, "  ")
        yield from _wrapped([Run(summary(answer), "dim")], width, "  ")


def _actions(turn: Turn, versions: tuple[int, int]) -> tuple[Piece, ...]:
    """What can be done with it, to be clicked; the same by key."""
    offered: list[tuple[str, Link]] = [("again", ("again", "")), ("edit", ("edit", ""))]
    if turn.text:
        offered.insert(0, ("copy", ("copy", "")))
    if "```" in turn.text:
        offered.insert(1, ("code", ("code", "")))
    if turn.state == "complete":
        offered.append(("less" if turn.is_detailed else "details", ("details", "")))
    pieces: list[Piece] = []
    for name, link in offered:
        pieces += [Piece(name, "action", link), Piece("  ", "")]
    at, count = versions
    if count > 1:
        pieces += [Piece("‹", "action", ("branch", "-1")), Piece(f" version {at} of {count} ", "dim")]
        pieces.append(Piece("›", "action", ("branch", "1")))
    return tuple(pieces)


def banner(turn: Turn, width: int, height: int) -> list[str]:
    """Its red flags above everything, the gravest first, in no more rows than the conversation can spare on the screen."""
    flags = turn.told.fields.get("red_flags")
    lines = finding_lines(flags, turn.texts) if flags else ()
    heads = [line.text for line in lines if line.text.startswith("!!")]
    if not heads:
        return []
    title = "!! RED FLAG" if len(heads) == 1 else f"!! {len(heads)} RED FLAGS"
    if height < LOW:
        return [clipped(f"{title} · {heads[0].removeprefix('!! ')}", width)]
    shown, rows = 0, list[str]()
    for head in heads:
        more = textwrap.wrap(head, max(width, 1), subsequent_indent="   ")
        if shown and len(rows) + len(more) > (_MOST_ROWS if height < _TALL else 2 * _MOST_ROWS):
            break
        shown, rows = shown + 1, rows + more
    where = (
        "by fixed rules · details above the answer" if shown == len(heads) else f"{shown} here, all above the answer"
    )
    return [clipped(f"{title} · {where}", width), *rows]
