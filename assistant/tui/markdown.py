"""Markdown of an answer as lines of runs that know where in the source they stand.

Untrusted: nothing in it becomes a link or a command. Only citation marks are actionable, and by number alone. Each source line is
a line of its own, so that of a growing answer only the last one is read again.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

Link = tuple[str, str]
"""What is done on a click or a key, and with what: `("source", "2")`."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}(#{1,6}) +")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*")
_ITEM = re.compile(r"([ \t]*)([-*+•]|\d{1,3}[.)]) +")
_QUOTE = re.compile(r"(?: {0,3}> ?)+")
_INLINE = re.compile(
    r"(?P<code>`+)(?P<code_text>.{1,400}?)(?P=code)"
    r"|\*\*(?=\S)(?P<strong>.{1,1000}?)(?<=\S)\*\*"
    r"|(?<![\w*])\*(?=[^\s*])(?P<em>.{1,1000}?)(?<=[^\s*])\*(?![\w*])"
    r"|\[(?P<cites>\d{1,3}(?:\s?[,;]\s?\d{1,3})*)\]"
)
_NUMBER = re.compile(r"\d+")
_MOST_INDENT = 8


@dataclass(frozen=True)
class Run:
    """Characters that look alike; `start` is the place of the first in the source, None where the program put them in."""

    text: str
    style: str = ""
    start: int | None = None
    link: Link | None = None


@dataclass(frozen=True)
class Line:
    """A line of the source, `start` to `end`, and what stands before it, on its first row and on those that follow."""

    start: int
    end: int
    runs: tuple[Run, ...]
    first: str = ""
    rest: str = ""
    is_code: bool = False


def read_lines(text: str, start: int = 0, fence: str = "") -> Iterator[tuple[Line, str]]:
    """The lines of `text`, which stands at `start` in the source, each with the fence that is open behind it."""
    at = start
    for raw in text.split("\n"):
        line, fence = _line(raw, at, fence)
        yield line, fence
        at += len(raw) + 1


def _line(raw: str, at: int, fence: str) -> tuple[Line, str]:
    end = at + len(raw)
    mark = _FENCE.fullmatch(raw)
    if fence:
        closes = mark is not None and mark[1].startswith(fence) and not mark[2].strip()
        runs = () if closes else (Run(raw, "code", at),)
        return Line(at, end, runs, "│ ", "│ ", is_code=True), "" if closes else fence
    if mark is not None:
        return Line(at, end, (Run(mark[2].strip(), "dim", at + mark.start(2)),), "│ ", "│ ", is_code=True), mark[1]
    if _RULE.fullmatch(raw):
        return Line(at, end, (Run("───", "dim", at),)), ""
    first = rest = style = ""
    skip = 0
    if found := _HEADING.match(raw):
        style, skip = "heading", found.end()
    elif found := _ITEM.match(raw):
        indent = " " * min(len(found[1].expandtabs(4)), _MOST_INDENT)
        sign = "•" if found[2] in "-*+•" else found[2]
        first, skip = f"{indent}{sign} ", found.end()
        rest = " " * len(first)
    elif found := _QUOTE.match(raw):
        first = rest = "▎ "
        skip = found.end()
    return Line(at, end, tuple(_inline(raw[skip:], at + skip, style)), first, rest), ""


def _inline(text: str, at: int, style: str) -> Iterator[Run]:
    done = 0
    for found in _INLINE.finditer(text):
        if found.start() > done:
            yield Run(text[done : found.start()], style, at + done)
        done = found.end()
        if found["code_text"] is not None:
            yield Run(found["code_text"], f"{style} code".strip(), at + found.start("code_text"))
        elif found["cites"] is not None:
            yield from _cites(found[0], at + found.start(), style)
        else:
            name = "strong" if found["strong"] is not None else "em"
            yield from _inline(found[name], at + found.start(name), f"{style} {name}".strip())
    if done < len(text):
        yield Run(text[done:], style, at + done)


def _cites(mark: str, at: int, style: str) -> Iterator[Run]:
    numbers = list(_NUMBER.finditer(mark))
    if len(numbers) == 1:
        yield Run(mark, f"{style} cite".strip(), at, ("source", numbers[0][0]))
        return
    done = 0
    for number in numbers:
        yield Run(mark[done : number.start()], style, at + done)
        yield Run(number[0], f"{style} cite".strip(), at + number.start(), ("source", number[0]))
        done = number.end()
    yield Run(mark[done:], style, at + done)


@dataclass(frozen=True)
class Mark:
    """What the check says of a stretch of the source: a style for it, and words behind it."""

    start: int
    end: int
    style: str
    runs: tuple[Run, ...]


def with_marks(line: Line, marks: Sequence[Mark]) -> Line:
    """The line with the stretches that lie in it marked."""
    found = [mark for mark in marks if mark.start < line.end and mark.end > line.start]
    if not found:
        return line
    runs = list(line.runs)
    for mark in found:
        runs = list(_styled(runs, mark))
        if line.start < mark.end <= line.end:
            runs = list(_followed(runs, mark))
    return replace(line, runs=tuple(runs))


def _styled(runs: list[Run], mark: Mark) -> Iterator[Run]:
    if not mark.style:
        yield from runs
        return
    for run in runs:
        if run.start is None:
            yield run
            continue
        low = min(max(mark.start - run.start, 0), len(run.text))
        high = min(max(mark.end - run.start, 0), len(run.text))
        for begin, end, style in (
            (0, low, run.style),
            (low, high, f"{run.style} {mark.style}"),
            (high, None, run.style),
        ):
            if text := run.text[begin:end]:
                yield replace(run, text=text, style=style.strip(), start=run.start + begin)


def _followed(runs: list[Run], mark: Mark) -> Iterator[Run]:
    """The words of the mark behind the last character of its stretch."""
    waiting = True
    for run in runs:
        if waiting and run.start is not None and run.start + len(run.text) >= mark.end:
            cut = max(mark.end - run.start, 0)
            if run.text[:cut]:
                yield replace(run, text=run.text[:cut])
            yield from mark.runs
            if run.text[cut:]:
                yield replace(run, text=run.text[cut:], start=run.start + cut)
            waiting = False
        else:
            yield run
    if waiting:
        yield from mark.runs
