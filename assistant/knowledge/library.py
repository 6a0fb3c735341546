"""A library of documents cut into passages, each with a stable id and what a reader needs to judge it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from assistant.errors import LibraryError
from assistant.plaintext import plain
from models.grounding import Passage
from models.starter import LICENCE, Note, load_notes

STARTER = "starter"
_HASH_DIGITS = 8
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAKEN = {"on": "a word of --knowledge", "off": "a word of --knowledge", STARTER: "built in"}


@dataclass(frozen=True)
class LibraryPassage:
    """A part of a document. `id` is `library/document#k@hash`, k from 1, hash of the text; `date` is ISO 8601 or empty.

    `section` is the path of headings, `position` says where in the document the text stands (`page 12`), `source` where
    the document came from; each is empty where nothing is known.
    """

    id: str
    title: str
    section: str
    text: str
    date: str
    licence: str
    follows: str
    source: str = ""
    position: str = ""

    @property
    def grounding(self) -> Passage:
        """What prompt and check read of it: nothing that a terminal could take for a command."""
        return Passage(plain(self.title), plain(self.section), plain(self.text))


@dataclass(frozen=True)
class Document:
    """A document: its passages in order, and the keywords (lay words, abbreviations) that lead to it."""

    id: str
    title: str
    keywords: tuple[str, ...]
    passages: tuple[LibraryPassage, ...]


def check_library_name(name: str) -> str:
    """`name` itself, if a library may be called so. Raises LibraryError."""
    if not _NAME.fullmatch(name):
        raise LibraryError(f"{name!r} cannot be a library's name: up to 40 lower-case letters, digits, '-' and '_'")
    if name in _TAKEN:
        raise LibraryError(
            f"no library can be made or changed as {name!r}, which is {_TAKEN[name]}; choose another name"
        )
    return name


def is_library_name(name: str) -> bool:
    """Whether a library of one's own may be called so."""
    return _NAME.fullmatch(name) is not None and name not in _TAKEN


def starter_documents() -> tuple[Document, ...]:
    """The documents of the starter library."""
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
            source="Bedside",
            position=f"section {number}",
        )
        for number, section in enumerate(note.sections, start=1)
    )
    return Document(note.id, note.title, note.keywords, passages)


def passage_id(library: str, document: str, number: int, text: str) -> str:
    """`starter/asthma#2@9f3c1a7b`: changes with the text, so that a stored citation never points at other words."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{library}/{document}#{number}@{digest}"


def source_fields(number: int, passage: LibraryPassage) -> dict[str, object]:
    """A passage as the API shows it, numbered."""
    fields = {name: plain(str(value)) for name, value in asdict(passage).items()}
    return {"n": number, **fields}
