"""PDF through pypdf: text page by page, headings from the bookmarks, running heads and feet left out."""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section
from assistant.knowledge.importers.plain_text import paragraphs

MAX_PAGES = 10_000
_LIGATURES = {
    0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st", 0xAD: None,
}  # fmt: skip
_BROKEN = re.compile(r"(\w+)-\n(?=([a-z]+))")
_PROGRAM_TITLE = re.compile(r"microsoft (word|powerpoint)\b|untitled|\S+\.\w{2,4}$", re.IGNORECASE)
_RUNNING_PAGES = 3

# It complains of faults in files that it reads all the same.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read_pdf(name: str, data: bytes) -> tuple[Manuscript, ...]:
    """The file as one document. Raises DocumentError: damaged, encrypted, without text, or with too many pages."""
    try:
        reader = _opened(name, data)
        pages = [_text(page.extract_text()) for page in reader.pages]
        marks, title = dict(_bookmarks(reader, reader.outline, ())), _title(reader)
    except DocumentError:
        raise
    except DependencyError:
        raise DocumentError(f"{name} is encrypted; save it without a password") from None
    except Exception as error:  # pypdf fails in many ways on a file that breaks the format
        raise DocumentError(f"{name} cannot be read as PDF ({type(error).__name__}); save it again") from None
    if not any(map(str.strip, pages)):
        raise DocumentError(f"{name} holds no text (a scan?); run text recognition on it first")
    return (Manuscript(_sections(pages, marks), "page", title=title),)


def _opened(name: str, data: bytes) -> PdfReader:
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError(f"{name} is encrypted; save it without a password")
    if len(reader.pages) > MAX_PAGES:
        raise DocumentError(f"{name} has {len(reader.pages)} pages, over {MAX_PAGES}; split it")
    return reader


def _text(extracted: str) -> str:
    """Soft hyphens at a line's end as plain ones, others out, and letters for ligatures."""
    return extracted.replace("\xad\n", "-\n").translate(_LIGATURES)


def _title(reader: PdfReader) -> str:
    """The title that its author gave it, not one that a program made of a file's name."""
    found = reader.metadata.title if reader.metadata is not None else None
    return "" if found is None or _PROGRAM_TITLE.match(found) else found


def _bookmarks(
    reader: PdfReader, entries: Sequence[Any], above: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Page (from 0) to the headings that it opens under: of several bookmarks of a page, the last."""
    path = above
    for entry in entries:
        if isinstance(entry, list):
            yield from _bookmarks(reader, entry, path)
        elif (page := reader.get_destination_page_number(entry)) is not None and page >= 0:
            path = (*above, str(entry.title))
            yield page, path


def _sections(pages: list[str], marks: dict[int, tuple[str, ...]]) -> tuple[Section, ...]:
    known = Counter(re.findall(r"\w+", "\n".join(pages).casefold()))
    sections: list[Section] = []
    path: tuple[str, ...] = ()
    held: list[Paragraph] = []
    for number, lines in enumerate(_without_running_lines(pages), start=1):
        if number - 1 in marks and marks[number - 1] != path:
            sections.append(Section(path, tuple(held)))
            path, held = marks[number - 1], []
        held += _page_paragraphs(_mended("\n".join(lines), known), number)
    sections.append(Section(path, tuple(held)))
    return tuple(section for section in sections if section.paragraphs)


def _page_paragraphs(text: str, page: int) -> list[Paragraph]:
    blocks = re.split(r"\n\s*\n", text)
    return [Paragraph(each.text, page) for block in blocks for each in paragraphs(block.split("\n"), page)]


def _mended(text: str, known: Counter[str]) -> str:
    """Words broken at a line's end made whole where the document also has them whole; else the hyphen may be theirs."""

    def mend(match: re.Match[str]) -> str:
        whole = known[(match[1] + match[2]).casefold()] > 0
        return match[1] if whole else f"{match[1]}-"

    return _BROKEN.sub(mend, text)


def _without_running_lines(pages: list[str]) -> list[list[str]]:
    """The lines of each page without its first and last where most pages have the same, page numbers aside."""
    cut = [page.strip().split("\n") for page in pages]
    ends = Counter(_shape(line) for lines in cut for line in {lines[0], lines[-1]})
    running = {shape for shape, count in ends.items() if count >= _RUNNING_PAGES and count > len(pages) / 2}
    found = []
    for lines in cut:
        first = _shape(lines[0]) in running
        last = len(lines) > 1 and _shape(lines[-1]) in running
        found.append(lines[first : len(lines) - last])
    return found


def _shape(line: str) -> str:
    return re.sub(r"\d+", "#", line.strip())
