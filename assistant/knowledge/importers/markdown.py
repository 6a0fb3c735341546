"""Markdown: front matter, headings as the path of sections, lists item by item, tables row by row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.knowledge.importers.front_matter import split_front_matter
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section, decode
from assistant.knowledge.importers.markup import without_markup
from assistant.knowledge.importers.plain_text import paragraphs

_HEADING = re.compile(r" {0,3}(#{1,6})([ \t].*)?")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}")
_QUOTE = re.compile(r" {0,3}(?:>[ \t]?)+")
_DELIMITER = re.compile(r"\s*:?-+:?\s*")
_CELL_EDGE = re.compile(r"(?<!\\)\|")


def read_markdown(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The file as one document. Raises DocumentError."""
    fields, text, before = split_front_matter(name, decode(name, data))
    page = _Page(before)
    for line in _without_comments(text).split("\n"):
        page.take(line)
    sections = page.finished()
    title = _field(fields, "title")
    tops = {section.path[0] for section in sections if section.path} if not title else set()
    if len(tops) == 1 and all(section.path for section in sections):  # the one heading above all is the title
        title = tops.pop()
        sections = tuple(Section(section.path[1:], section.paragraphs) for section in sections)
    keywords = fields.get("keywords", [])
    return (
        Manuscript(
            sections,
            "line",
            title=title,
            date=_field(fields, "date") or _field(fields, "reviewed"),
            licence=_field(fields, "licence") or _field(fields, "license"),
            source=_field(fields, "source") or _field(fields, "url"),
            keywords=tuple(map(str, keywords if isinstance(keywords, list) else str(keywords).split(","))),
        ),
    )


def _without_comments(text: str) -> str:
    """The text with the lines of its comments left empty; searched once, as a comment need not end."""
    kept, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        kept += [text[at:begin], "\n" * text.count("\n", begin, end)]
        at = end + 3
    return "".join([*kept, text[at:]])


def _field(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return "" if isinstance(value, list | dict) else str(value)


@dataclass
class _Page:
    """The lines taken so far: finished sections, the open one's headings and paragraphs, and the open block."""

    number: int
    sections: list[Section] = field(default_factory=list)
    path: list[tuple[int, str]] = field(default_factory=list)
    held: list[Paragraph] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    fence: str = ""

    def take(self, line: str) -> None:
        """The next line."""
        self.number += 1
        if self.fence:
            self._take_code(line)
        elif opened := _FENCE.match(line):
            self._end_block(self.number)
            self.fence = opened[1]
        elif heading := _HEADING.fullmatch(line):
            self._end_block(self.number)
            self._open(len(heading[1]), _without_closing_marks(heading[2] or ""))
        elif self.block and _UNDERLINE.fullmatch(line) and "|" not in self.block[-1]:
            title, level = " ".join(self.block), 1 if "=" in line else 2
            self.block = []
            self._open(level, title)
        elif not line.strip() or _RULE.fullmatch(line):
            self._end_block(self.number)
        else:
            self.block.append(line[quoted.end() :] if (quoted := _QUOTE.match(line)) else line)

    def finished(self) -> tuple[Section, ...]:
        """All sections with text."""
        self._end_block(self.number + 1)
        self._end_section()
        return tuple(section for section in self.sections if section.paragraphs)

    def _take_code(self, line: str) -> None:
        if line.strip().startswith(self.fence) and not line.strip().strip(self.fence[0]):
            self.fence = ""
        elif line.strip():
            self.held.append(Paragraph(line.strip(), self.number))

    def _open(self, level: int, title: str) -> None:
        self._end_section()
        self.path = [entry for entry in self.path if entry[0] < level]
        if words := without_markup(title):
            self.path.append((level, words))

    def _end_section(self) -> None:
        self.sections.append(Section(tuple(title for _, title in self.path), tuple(self.held)))
        self.held = []

    def _end_block(self, after: int) -> None:
        """Make paragraphs of the open block, whose last line stands before line `after`."""
        first, lines, self.block = after - len(self.block), self.block, []
        if len(lines) > 1 and "|" in lines[0] and _is_delimiters(lines[1]):
            found = _rows(lines, first)
        else:
            found = paragraphs(lines, first)
        words = (Paragraph(without_markup(each.text), each.place) for each in found)
        self.held += [each for each in words if each.text]


def _without_closing_marks(title: str) -> str:
    """A heading's words: `# Gout ##` is `Gout`, and `# C#` is `C#`."""
    words = title.strip(" \t")
    bare = words.rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else words


def _is_delimiters(line: str) -> bool:
    """Whether this is the line of dashes below the head of a table."""
    return all(_DELIMITER.fullmatch(cell) for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))


def _rows(lines: Sequence[str], first: int) -> list[Paragraph]:
    """Each row of a table as `column: cell; column: cell`, which can be read, and found, without the table's head."""
    names = _cells(lines[0])
    found = []
    for place, line in enumerate(lines[2:], start=first + 2):
        cells = [(names[at] if at < len(names) else "", cell) for at, cell in enumerate(_cells(line))]
        parts = [f"{name}: {cell}" if name else cell for name, cell in cells if cell]
        found.append(Paragraph("; ".join(parts), place))
    return found


def _cells(line: str) -> list[str]:
    return [
        cell.strip().replace("\\|", "|") for cell in _CELL_EDGE.split(line.strip().removeprefix("|").removesuffix("|"))
    ]
