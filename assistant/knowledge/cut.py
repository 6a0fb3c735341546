"""Manuscripts to documents of passages: cleaned, cut at paragraphs and sentences, long books cut into their chapters."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from assistant.knowledge.importers.manuscript import Manuscript, Paragraph, Section
from assistant.knowledge.library import Document, LibraryPassage, passage_id
from assistant.plaintext import plain, plain_line
from models.grounding import unmarked
from models.sentences import split_sentences

MAX_PASSAGE_CHARACTERS = 1200
"""About 300 tokens: four such passages are what a small board reads in its ten seconds."""
MAX_DOCUMENT_PASSAGES = 64
"""A document is what is ranked first; one that is about everything would be found for everything."""
_LONGEST_LINE = 200
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")


@dataclass(frozen=True)
class Given:
    """What the person says of documents that do not say it themselves."""

    title: str = ""
    date: str = ""
    licence: str = ""


@dataclass(frozen=True)
class _Part:
    """A passage to be, without what it shares with its document."""

    path: tuple[str, ...]
    text: str
    position: str


def is_date(text: str) -> bool:
    """Whether this is a date of ISO 8601: year, month or day."""
    return _DATE.fullmatch(text) is not None


def cut_documents(library: str, file: str, manuscripts: Iterable[Manuscript], given: Given) -> Iterator[Document]:
    """The documents of one file; ids are unique among them. A manuscript without text makes none.

    `file` is the file's name without its folder: the source of a document that names none, and the title of last resort.
    """
    taken: set[str] = set()
    stem = file.rpartition(".")[0] or file
    for manuscript in manuscripts:
        title = _line(manuscript.title) or given.title or _line(manuscript.name) or _line(stem)
        passage = LibraryPassage(
            id="",
            title="",
            section="",
            text="",
            date=manuscript.date if is_date(manuscript.date) else given.date,
            licence=_line(manuscript.licence) or given.licence,
            follows="",
            source=_line(manuscript.source) or file,
        )
        for chapter, (heading, parts) in enumerate(_chapters(tuple(_parts(manuscript))), start=1):
            base = _slug(manuscript.name or stem) + (f"-{chapter}" if heading else "")
            name = next(name for name in _numbered(base) if name not in taken)
            taken.add(name)
            blank = replace(passage, title=f"{title}: {heading}" if heading else title)
            keywords = tuple(filter(None, map(_line, manuscript.keywords)))
            yield Document(name, blank.title, keywords, tuple(_filled(blank, library, name, parts)))


def _filled(blank: LibraryPassage, library: str, name: str, parts: Sequence[_Part]) -> Iterator[LibraryPassage]:
    for number, part in enumerate(parts, start=1):
        found = passage_id(library, name, number, part.text)
        yield replace(blank, id=found, section=" > ".join(part.path), text=part.text, position=part.position)


def _chapters(parts: Sequence[_Part]) -> Iterator[tuple[str, Sequence[_Part]]]:
    """The passages of a document, or of its parts where it is too long: by first heading, then by number."""
    if len(parts) <= MAX_DOCUMENT_PASSAGES:
        if parts:
            yield "", parts
        return
    for heading, group in groupby(parts, key=lambda part: part.path[:1]):
        some = [_Part(part.path[1:], part.text, part.position) for part in group]
        count = math.ceil(len(some) / MAX_DOCUMENT_PASSAGES)
        for number in range(count):
            name = ", ".join([*heading, *([f"part {number + 1} of {count}"] if count > 1 else [])])
            piece = some[number * MAX_DOCUMENT_PASSAGES : (number + 1) * MAX_DOCUMENT_PASSAGES]
            yield name or "opening", piece


def _parts(manuscript: Manuscript) -> Iterator[_Part]:
    for section in manuscript.sections:
        path = tuple(filter(None, map(_line, section.path)))
        for pieces in _passages(_pieces(section)):
            first, last = pieces[0].place, pieces[-1].place
            position = f"{manuscript.unit} {first}" if first == last else f"{manuscript.unit}s {first}-{last}"
            yield _Part(path, "\n".join(piece.text for piece in pieces), position)


def _pieces(section: Section) -> Iterator[Paragraph]:
    """Paragraphs, those too long for a passage cut between sentences, and sentences too long for one between words."""
    for paragraph in section.paragraphs:
        text = clean(paragraph.text)
        if len(text) <= MAX_PASSAGE_CHARACTERS:
            texts = [text] if text else []
        else:
            whole = [sentence.text for sentence in split_sentences(text)]
            texts = list(_joined(piece for sentence in whole for piece in _split_words(sentence)))
        for each in texts:
            yield Paragraph(each, paragraph.place)


def _passages(pieces: Iterable[Paragraph]) -> Iterator[list[Paragraph]]:
    """Pieces together as passages of about equal length, none over the limit."""
    every = list(pieces)
    total = sum(len(piece.text) + 1 for piece in every)
    wanted = total / max(math.ceil(total / MAX_PASSAGE_CHARACTERS), 1)
    held: list[Paragraph] = []
    length = 0
    for piece in every:
        if held and (length >= wanted or length + len(piece.text) > MAX_PASSAGE_CHARACTERS):
            yield held
            held, length = [], 0
        held.append(piece)
        length += len(piece.text) + 1
    if held:
        yield held


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Sentences of one paragraph together in pieces of half a passage, so that they pack well."""
    held = ""
    for text in texts:
        if held and len(held) + 1 + len(text) > MAX_PASSAGE_CHARACTERS // 2:
            yield held
            held = ""
        held = f"{held} {text}" if held else text
    if held:
        yield held


def _split_words(sentence: str) -> Iterator[str]:
    rest = sentence
    while len(rest) > MAX_PASSAGE_CHARACTERS:
        end = rest.rfind(" ", 0, MAX_PASSAGE_CHARACTERS)
        end = end if end > 0 else MAX_PASSAGE_CHARACTERS
        yield rest[:end]
        rest = rest[end:].lstrip()
    if rest:
        yield rest


def clean(text: str) -> str:
    """One paragraph as a line that is safe to show and to cite: no control characters, and no `[3]`, which would read
    as a citation of passage 3 where the text meant its own list of references."""
    return plain_line(unmarked(unicodedata.normalize("NFC", plain(text))))


def _line(text: str) -> str:
    return clean(text)[:_LONGEST_LINE].strip()


def _slug(text: str) -> str:
    """A name for ids: letters without accents, digits, dots and dashes; a digest where that leaves nothing."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9._]+", "-", ascii_only).strip("-._")[:64].rstrip("-._")
    return slug or hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
