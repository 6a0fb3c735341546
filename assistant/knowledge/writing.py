"""Documents into a library's database, with their words into its indexes, and out again."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assistant.errors import DamagedLibraryError
from assistant.knowledge.database import create_indexes, folding
from assistant.knowledge.library import Document
from assistant.knowledge.words import fold

_DOCUMENT_WORDS = "(rowid, title, keywords, headings, text) VALUES (?, ?, ?, ?, ?)"
_DOCUMENT_WORDS_OUT = "(document_words, rowid, title, keywords, headings, text) VALUES ('delete', ?, ?, ?, ?, ?)"
_PASSAGE_WORDS = "(rowid, heading, text) VALUES (?, ?, ?)"
_PASSAGE_WORDS_OUT = "(passage_words, rowid, heading, text) VALUES ('delete', ?, ?, ?)"
_MOST_FREE = 0.25  # of a file's pages, before it is made smaller


@dataclass(frozen=True)
class SourceRecord:
    """A file that was added: its name for people, what it held, and how it was read (`recipe`)."""

    name: str
    sha256: str
    recipe: str
    size_bytes: int
    added: str
    left_out: int


@dataclass(frozen=True)
class _Row:
    """What the indexes hold of a document."""

    id: int
    first_passage: int
    title: str
    keywords: tuple[str, ...]
    sections: tuple[tuple[str, str], ...]
    """Heading and text of each passage."""


class Writer:
    """Changes one database in one transaction; nobody reads it before the end."""

    def __init__(self, connection: sqlite3.Connection, *, rebuild: bool = False) -> None:
        """Indexes whose words were folded in another way are made anew first: what is to go must be known as it is.

        Raises DamagedLibraryError where that would be done from a text that is not what was added.
        """
        self._connection = connection
        anew = rebuild or not folds_alike(connection)
        if anew:
            if damaged := damaged_documents(connection):
                raise DamagedLibraryError(
                    f"the text of {damaged[0]!r} is damaged; remove the library and add its documents again"
                )
            create_indexes(connection)
        connection.execute("BEGIN")
        for row in _rows(connection) if anew else ():
            self._index(row)

    def replace_source(
        self, source: SourceRecord, documents: Sequence[Document], on_document: Callable[[], None] = lambda: None
    ) -> int:
        """Make a source hold these documents; those that it holds already, unchanged, stay. Returns how many changed.

        `on_document` is called before each.
        """
        number = self._record(source)
        rows = self._connection.execute("SELECT key, id, name, digest FROM document WHERE source = ?", (number,))
        held = {str(key): (int(row), str(name), str(digest)) for key, row, name, digest in rows}
        changed = 0
        for document in documents:
            on_document()
            row, name, digest = held.pop(document.id, (None, None, None))
            if digest == document_digest(document):
                continue
            if row is not None:
                self._remove_document(row)
            self._add_document(number, document, name)
            changed += 1
        for row, _, _ in held.values():
            self._remove_document(row)
        return changed + len(held)

    def remove_source(self, name: str) -> None:
        """Take a source and its documents out; nothing happens where there is none of that name."""
        for (number,) in self._connection.execute("SELECT id FROM source WHERE name = ?", (name,)).fetchall():
            for (row,) in self._connection.execute("SELECT id FROM document WHERE source = ?", (number,)).fetchall():
                self._remove_document(row)
            self._connection.execute("DELETE FROM source WHERE id = ?", (number,))

    def finish(self) -> None:
        """Put the indexes in order, and give space back where much is free."""
        self._connection.execute("INSERT INTO document_words(document_words) VALUES ('optimize')")
        self._connection.execute("INSERT INTO passage_words(passage_words) VALUES ('optimize')")
        self._connection.execute("COMMIT")
        free, pages = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
        )
        if free > _MOST_FREE * pages:
            self._connection.execute("VACUUM")

    def _record(self, source: SourceRecord) -> int:
        values = (source.sha256, source.recipe, source.size_bytes, source.added, source.left_out, source.name)
        change = "UPDATE source SET sha256 = ?, recipe = ?, size_bytes = ?, added = ?, left_out = ? WHERE name = ?"
        if not self._connection.execute(change, values).rowcount:
            columns = "sha256, recipe, size_bytes, added, left_out, name"
            self._connection.execute(f"INSERT INTO source({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)
        return int(self._connection.execute("SELECT id FROM source WHERE name = ?", (source.name,)).fetchone()[0])

    def _add_document(self, source: int, document: Document, name: str | None) -> None:
        first = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM passage").fetchone()[0]
        shared = document.passages[0]
        values = (
            source, document.id, name or self._free_name(document.id), document.title, json.dumps(document.keywords),
            shared.date, shared.licence, shared.follows, shared.source, document_digest(document), first,
            len(document.passages),
        )  # fmt: skip
        columns = "source, key, name, title, keywords, date, licence, follows, origin, digest, first_passage, passages"
        marks = ", ".join("?" * len(values))
        row = self._connection.execute(f"INSERT INTO document({columns}) VALUES ({marks})", values).lastrowid
        assert row is not None
        for number, passage in enumerate(document.passages, start=first):
            text = (number, passage.section, passage.text, passage.position)
            self._connection.execute("INSERT INTO passage(id, section, text, position) VALUES (?, ?, ?, ?)", text)
        sections = tuple((passage.section, passage.text) for passage in document.passages)
        self._index(_Row(row, first, document.title, document.keywords, sections))

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 1
        while self._connection.execute("SELECT 1 FROM document WHERE name = ?", (name,)).fetchone():
            number += 1
            name = f"{wanted}-{number}"
        return name

    def _remove_document(self, number: int) -> None:
        (row,) = _rows(self._connection, number)
        self._connection.execute(f"INSERT INTO document_words{_DOCUMENT_WORDS_OUT}", _document_words(row))
        self._connection.executemany(f"INSERT INTO passage_words{_PASSAGE_WORDS_OUT}", _passage_words(row))
        last = row.first_passage + len(row.sections) - 1
        self._connection.execute("DELETE FROM passage WHERE id BETWEEN ? AND ?", (row.first_passage, last))
        self._connection.execute("DELETE FROM document WHERE id = ?", (number,))

    def _index(self, row: _Row) -> None:
        self._connection.execute(f"INSERT INTO document_words{_DOCUMENT_WORDS}", _document_words(row))
        self._connection.executemany(f"INSERT INTO passage_words{_PASSAGE_WORDS}", _passage_words(row))


def folds_alike(connection: sqlite3.Connection) -> bool:
    """Whether the words of the indexes were folded as questions are today."""
    found = connection.execute("SELECT value FROM setting WHERE name = 'folding'").fetchone()
    return found is not None and found[0] == folding()


def document_digest(document: Document) -> str:
    """sha256 of all that is stored of a document but its name."""
    shared = document.passages[0]
    sections = [(passage.section, passage.text, passage.position) for passage in document.passages]
    return _digest(
        document.title, list(document.keywords), shared.date, shared.licence, shared.follows, shared.source, sections
    )


def damaged_documents(connection: sqlite3.Connection) -> list[str]:
    """Names of the documents that are not what was written."""
    columns = "name, digest, title, keywords, date, licence, follows, origin, first_passage, passages"
    found = []
    for name, digest, title, keywords, *shared, first, count in connection.execute(f"SELECT {columns} FROM document"):
        passages = "SELECT section, text, position FROM passage WHERE id BETWEEN ? AND ? ORDER BY id"
        sections = connection.execute(passages, (first, first + count - 1)).fetchall()
        if digest != _digest(title, json.loads(keywords), *shared, sections):
            found.append(str(name))
    return found


def _digest(*content: object) -> str:
    """`default` is for what a damaged file holds in a text's place."""
    return hashlib.sha256(json.dumps(content, default=repr).encode()).hexdigest()


def _rows(connection: sqlite3.Connection, number: int | None = None) -> Iterator[_Row]:
    """All documents, or one, as the indexes hold them."""
    statement = "SELECT id, first_passage, passages, title, keywords FROM document"
    where, values = ("", ()) if number is None else (" WHERE id = ?", (number,))
    for row, first, count, title, keywords in connection.execute(statement + where, values).fetchall():
        passages = "SELECT section, text FROM passage WHERE id BETWEEN ? AND ? ORDER BY id"
        sections = tuple(connection.execute(passages, (first, first + count - 1)).fetchall())
        yield _Row(row, first, title, tuple(json.loads(keywords)), sections)


def _document_words(row: _Row) -> tuple[object, ...]:
    columns = (
        row.title,
        " . ".join(row.keywords),
        " . ".join(section for section, _ in row.sections),
        " ".join(text for _, text in row.sections),
    )
    return (row.id, *map(fold, columns))


def _passage_words(row: _Row) -> Iterator[tuple[object, ...]]:
    for number, (section, text) in enumerate(row.sections, start=row.first_passage):
        yield number, fold(section), fold(text)
