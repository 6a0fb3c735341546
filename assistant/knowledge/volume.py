"""One library opened for reading: look-ups by word, by number and by id, in a file or in memory."""

import hashlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from assistant.knowledge.database import create_tables, damage, damaged, open_for_reading
from assistant.knowledge.library import Document, LibraryPassage, passage_id
from assistant.knowledge.writing import SourceRecord, Writer
from assistant.plaintext import plain_line

Table = Literal["document_words", "passage_words"]
_VERSION_DIGITS = 8
# BM25 column weights: a word in the title or the keywords names the subject, one in the text may only mention it.
_SCORES: dict[Table, str] = {
    "document_words": "bm25(document_words, 10.0, 8.0, 1.0, 1.0)",  # title, keywords, headings, text
    "passage_words": "bm25(passage_words, 3.0, 1.0)",  # heading, text
}


class Volume:
    """A library's documents and passages by their row numbers; any thread may ask, one at a time is answered.

    Every method raises DamagedLibraryError where the file turns out to be damaged.
    """

    def __init__(self, library: str, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self.library, self.path = library, path
        self._connection, self._lock = connection, threading.Lock()
        weakref.finalize(self, connection.close)
        ((documents, passages),) = self.rows("SELECT count(*), coalesce(sum(passages), 0) FROM document")
        self.counts: dict[Table, int] = {"document_words": documents, "passage_words": passages}
        """How many there are of what a table indexes."""

    @cached_property
    def version(self) -> str:
        """What it holds, in short: the day of its newest addition (else the newest date of a document) and a digest."""
        digest = hashlib.sha256()
        for name, content in self.rows("SELECT name, digest FROM document ORDER BY name"):
            digest.update(f"{name} {content}\n".encode())
        ((added, dated),) = self.rows("SELECT (SELECT max(added) FROM source), (SELECT max(date) FROM document)")
        return f"{(added or dated or 'undated')[:10]}.{digest.hexdigest()[:_VERSION_DIGITS]}"

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

    def hit_counts(self, table: Table, matches: Sequence[str]) -> Sequence[int]:
        """How many documents or passages match each FTS5 query."""
        counts = ", ".join([f"(SELECT count(*) FROM {table} WHERE {table} MATCH ?)"] * len(matches))
        return self.rows(f"SELECT {counts}", matches)[0] if matches else ()

    def names(self) -> Iterator[str]:
        """Title and keywords of each document, as one text."""
        for title, keywords in self.rows("SELECT title, keywords FROM document"):
            yield " . ".join((title, *json.loads(keywords)))

    def titles(self, rows: Sequence[int]) -> dict[int, str]:
        """The title of the document in each of these rows."""
        return dict(self.rows(f"SELECT id, title FROM document WHERE id IN ({', '.join(map(str, rows))})"))

    def rank_documents(self, terms: Mapping[float, Sequence[str]], among: Sequence[int]) -> dict[int, float]:
        """Row to BM25 score (larger is better) of these documents, where any term matches; each key weighs its terms."""
        return self._rank("document_words", terms, f"+rowid IN ({', '.join(map(str, among))})") if among else {}

    def rank_passages(
        self, terms: Mapping[float, Sequence[str]], documents: Sequence[int]
    ) -> dict[tuple[int, int], float]:
        """A document's row and the passage's place in it, from 0, to BM25 score; of the passages of these documents."""
        rows = ", ".join(map(str, documents))
        spans = self.rows(f"SELECT id, first_passage, first_passage + passages FROM document WHERE id IN ({rows})")
        places = {row: (document, row - first) for document, first, end in spans for row in range(first, end)}
        if not places:
            return {}
        found = self._rank("passage_words", terms, f"+rowid IN ({', '.join(map(str, sorted(places)))})")
        return {places[row]: score for row, score in found.items()}

    def _rank(self, table: Table, terms: Mapping[float, Sequence[str]], inside: str) -> dict[int, float]:
        """The plus of `inside` keeps SQLite from asking the index once for each row: it scores only rows that pass.

        Rows are our own numbers and stand in the statement; what a person typed is a bound parameter.
        """
        scores: dict[int, float] = {}
        statement = f"SELECT rowid, {_SCORES[table]} FROM {table} WHERE {table} MATCH ? AND {inside}"
        for weight, some in terms.items():
            for row, score in self.rows(statement, (" OR ".join(some),)):
                scores[row] = scores.get(row, 0.0) - weight * score
        return scores

    def document(self, number: int) -> Document:
        """The document in that row."""
        columns = "name, title, keywords, date, licence, follows, origin, first_passage, passages"
        found = self.rows(f"SELECT {columns} FROM document WHERE id = ?", (number,))
        if not found:
            raise damaged(self.path, "its index holds a document that is not there")
        ((name, title, keywords, *shared, first, count),) = found
        return Document(name, title, tuple(json.loads(keywords)), self._passages(name, title, shared, first, count))

    def _passages(
        self, name: str, title: str, shared: Sequence[str], first: int, count: int
    ) -> tuple[LibraryPassage, ...]:
        date, licence, follows, source = shared
        statement = "SELECT section, text, position FROM passage WHERE id BETWEEN ? AND ? ORDER BY id"
        found: Sequence[tuple[str, str, str]] = self.rows(statement, (first, first + count - 1))
        if len(found) != count or not all(isinstance(part, str) for row in found for part in row):
            raise damaged(self.path, f"the passages of {plain_line(name)[:40]!r} are not what they were")
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
