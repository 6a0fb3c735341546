"""One library opened for reading: look-ups by word, by number and by id, in a file or in memory."""

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assistant.knowledge.database import create_tables, damage, open_for_reading
from assistant.knowledge.library import Document, LibraryPassage, passage_id
from assistant.knowledge.writing import SourceRecord, Writer

# BM25 column weights: a word in the title or the keywords names the subject, one in the text may only mention it.
_DOCUMENT_SCORE = "bm25(document_words, 10.0, 8.0, 1.0, 1.0)"  # title, keywords, headings, text
_PASSAGE_SCORE = "bm25(passage_words, 3.0, 1.0)"  # heading, text

_MOST_SPANS = 1024


class Volume:
    """A library's documents and passages by their row numbers; any thread may ask, one at a time is answered.

    Every method raises DamagedLibraryError where the file turns out to be damaged.
    """

    def __init__(self, library: str, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self.library, self.path = library, path
        self._connection, self._lock = connection, threading.Lock()
        weakref.finalize(self, connection.close)
        self._spans: dict[str, tuple[int, int]] = {}
        self.count = int(self.rows("SELECT count(*) FROM document")[0][0])

    @classmethod
    def open(cls, library: str, path: Path) -> "Volume":
        """The library in a file. Raises DamagedLibraryError."""
        return cls(library, open_for_reading(path), path)

    @classmethod
    def of_documents(cls, library: str, documents: Sequence[Document]) -> "Volume":
        """A library in memory. Raises LibraryError where this Python's SQLite lacks FTS5."""
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        create_tables(connection)
        writer = Writer(connection)
        writer.replace_source(SourceRecord("memory", "", "", 0, "", 0), documents)
        writer.finish()
        return cls(library, connection)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a query."""
        with damage(self.path), self._lock:
            return self._connection.execute(statement, values).fetchall()

    def holders(self, match: str, most: int) -> list[int]:
        """Rows of the documents that match an FTS5 query, at most so many."""
        found = self.rows("SELECT rowid FROM document_words WHERE document_words MATCH ? LIMIT ?", (match, most))
        return [row for (row,) in found]

    def holder_count(self, match: str) -> int:
        """How many documents match an FTS5 query."""
        return int(self.rows("SELECT count(*) FROM document_words WHERE document_words MATCH ?", (match,))[0][0])

    def names(self) -> Iterator[str]:
        """Title and keywords of each document, as one text."""
        for title, keywords in self.rows("SELECT title, keywords FROM document"):
            yield " . ".join((title, *json.loads(keywords)))

    def rank_documents(self, terms: Mapping[float, Sequence[str]], among: Sequence[int]) -> dict[int, float]:
        """Row to BM25 score (larger is better) of these documents, where any term matches; each key weighs its terms.

        Numbers are our own and stand in the statement; the plus keeps SQLite from asking the index once for each of them.
        """
        scores: dict[int, float] = {}
        rows = ", ".join(map(str, among))
        statement = f"""SELECT rowid, {_DOCUMENT_SCORE} FROM document_words
                        WHERE document_words MATCH ? AND +rowid IN ({rows})"""
        for weight, some in terms.items() if among else ():
            for row, score in self.rows(statement, (" OR ".join(some),)):
                scores[row] = scores.get(row, 0.0) - weight * score
        return scores

    def rank_passages(self, match: str, documents: Sequence[int]) -> dict[int, float]:
        """Row to BM25 score of the passages of these documents that match."""
        rows = ", ".join(map(str, documents))
        spans = self.rows(f"SELECT first_passage, first_passage + passages - 1 FROM document WHERE id IN ({rows})")
        if not spans:
            return {}
        inside = " OR ".join(f"+rowid BETWEEN {first} AND {last}" for first, last in spans)
        statement = f"SELECT rowid, {_PASSAGE_SCORE} FROM passage_words WHERE passage_words MATCH ? AND ({inside})"
        return {row: -score for row, score in self.rows(statement, (match,))}

    def document(self, number: int) -> Document:
        """The document in that row."""
        columns = "name, title, keywords, date, licence, follows, origin, first_passage, passages"
        ((name, title, keywords, *shared, first, count),) = self.rows(
            f"SELECT {columns} FROM document WHERE id = ?", (number,)
        )
        self._remember(name, first, count)
        return Document(name, title, tuple(json.loads(keywords)), self._passages(name, title, shared, first, count))

    def _passages(
        self, name: str, title: str, shared: Sequence[str], first: int, count: int
    ) -> tuple[LibraryPassage, ...]:
        date, licence, follows, source = shared
        statement = "SELECT section, text, position FROM passage WHERE id BETWEEN ? AND ? ORDER BY id"
        found: Iterable[tuple[str, str, str]] = self.rows(statement, (first, first + count - 1))
        return tuple(
            LibraryPassage(
                passage_id(self.library, name, place, text),
                title,
                section,
                text,
                date,
                licence,
                follows,
                source,
                position,
            )
            for place, (section, text, position) in enumerate(found, start=1)
        )

    def find(self, name: str) -> int | None:
        """The row of the document of that name."""
        found = self.rows("SELECT id FROM document WHERE name = ?", (name,))
        return found[0][0] if found else None

    def passage_row(self, document: str, place: int) -> int | None:
        """The row of a document's passage, counted from 1. A search asks for all of a document that it has just read."""
        span = self._spans.get(document)
        if span is None:
            found = self.rows("SELECT first_passage, passages FROM document WHERE name = ?", (document,))
            if not found:
                return None
            span = found[0]
            self._remember(document, *span)
        first, count = span
        return first + place - 1 if 1 <= place <= count else None

    def _remember(self, document: str, first: int, count: int) -> None:
        if len(self._spans) >= _MOST_SPANS:
            self._spans.clear()
        self._spans[document] = (first, count)
