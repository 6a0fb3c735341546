"""A library of documents cut into passages, each with a stable id and what a reader needs to judge it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.errors import LibraryError
from models.grounding import Passage
from models.starter import LICENCE, Note, load_notes

STARTER = "starter"
_HASH_DIGITS = 8


@dataclass(frozen=True)
class LibraryPassage:
    """One section of a document. `id` is `library/document#k@hash`, k from 1, hash of the text; `date` is ISO 8601."""

    id: str
    title: str
    section: str
    text: str
    date: str
    licence: str
    follows: str

    @property
    def grounding(self) -> Passage:
        """What the prompt shows of it."""
        return Passage(self.title, self.section, self.text)


@dataclass(frozen=True)
class Document:
    """A document: its passages in order, and the keywords (lay words, abbreviations) that lead to it."""

    id: str
    title: str
    keywords: tuple[str, ...]
    passages: tuple[LibraryPassage, ...]


def open_library(name: str) -> tuple[Document, ...]:
    """The documents of the named library. Raises LibraryError where there is no such library."""
    if name != STARTER:
        raise LibraryError(f"no library named {name!r} (available: {STARTER}); use --knowledge on, off or {STARTER}")
    return documents_from_notes(load_notes())


def documents_from_notes(notes: Sequence[Note]) -> tuple[Document, ...]:
    """Cut each note into one passage per section."""
    return tuple(_document(note) for note in notes)


def _document(note: Note) -> Document:
    passages = tuple(
        LibraryPassage(
            id=passage_id(STARTER, note.id, number, section.text),
            title=note.title,
            section=section.heading,
            text=section.text,
            date=note.reviewed,
            licence=LICENCE,
            follows=note.follows,
        )
        for number, section in enumerate(note.sections, start=1)
    )
    return Document(note.id, note.title, note.keywords, passages)


def passage_id(library: str, document: str, number: int, text: str) -> str:
    """`starter/asthma#2@9f3c1a7b`: changes with the text, so that a stored citation never points at other words."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{library}/{document}#{number}@{digest}"
