"""Plain text: paragraphs between blank lines; a line in capitals or underlined, alone, is a heading."""

import re

from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section, decode

_BULLET = re.compile(r"(?:[-*•–·]|\(?\d{1,2}[.)])\s+")
_LONGEST_HEADING = 80


def read_plain_text(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The file as one document. Raises DocumentError."""
    sections: list[Section] = []
    heading: tuple[str, ...] = ()
    held: list[Paragraph] = []
    for first, lines in _blocks(decode(name, data).split("\n")):
        taken = 0
        if (found := _heading(lines)) is not None:
            sections.append(Section(heading, tuple(held)))
            heading, held, taken = (found[0],), [], found[1]
        held += paragraphs(lines[taken:], first + taken)
    sections.append(Section(heading, tuple(held)))
    return (Manuscript(tuple(section for section in sections if section.paragraphs), "line"),)


def paragraphs(lines: list[str], first: int) -> list[Paragraph]:
    """Lines that follow one another as paragraphs: one, and one more for each item of a list."""
    found: list[Paragraph] = []
    for place, line in enumerate(map(str.strip, lines), start=first):
        if found and not _BULLET.match(line):
            found[-1] = Paragraph(f"{found[-1].text} {line}", found[-1].place)
        elif line:
            found.append(Paragraph(line, place))
    return found


def _blocks(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Runs of lines without a blank one, each with the number of its first, from 1."""
    blocks: list[tuple[int, list[str]]] = []
    open_block = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            open_block = False
        elif open_block:
            blocks[-1][1].append(line)
        else:
            blocks.append((number, [line]))
            open_block = True
    return blocks


def _heading(lines: list[str]) -> tuple[str, int] | None:
    """The heading that a block begins with and how many lines it takes, or None."""
    line = lines[0].strip()
    if len(line) > _LONGEST_HEADING or not any(character.isalpha() for character in line):
        return None
    if len(lines) > 1 and re.fullmatch(r"={3,}|-{3,}|~{3,}", lines[1].strip()):
        return line, 2
    return (line.capitalize(), 1) if len(lines) == 1 and line.isupper() and len(line) > 3 else None
