"""Full-text index of a library: SQLite FTS5 in memory, one table of documents and one of passages, ranked by BM25.

The starter library is small enough that building the index takes less time than opening a cached one safely would save.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Sequence

from assistant.errors import LibraryError
from assistant.knowledge.library import Document, LibraryPassage
from assistant.knowledge.words import fold

# BM25 column weights: a word in the title or the keywords names the subject, one in the text may only mention it.
_DOCUMENT_WEIGHTS = (10.0, 8.0, 1.0, 1.0)  # title, keywords, headings, text
_PASSAGE_WEIGHTS = (3.0, 1.0)  # heading, text
_SCHEMA = """
CREATE VIRTUAL TABLE document USING fts5(title, keywords, headings, text, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE passage USING fts5(heading, text, document UNINDEXED, tokenize = 'porter unicode61');
"""


class Index:
    """Read-only index over the documents that it was built from."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Build the index. Raises LibraryError where this Python's SQLite lacks FTS5."""
        self.documents = tuple(documents)
        self._numbers: dict[str, int] = {}
        # Built in one thread and read in another, never in two at once.
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._connection.close)
        try:
            self._connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise LibraryError(f"this Python's SQLite cannot search text ({error}); install one with FTS5") from error
        for number, document in enumerate(self.documents):
            self._add(number, document)

    def _add(self, number: int, document: Document) -> None:
        columns = (
            document.title,
            " . ".join(document.keywords),
            " . ".join(passage.section for passage in document.passages),
            " ".join(passage.text for passage in document.passages),
        )
        self._connection.execute("INSERT INTO document(rowid, title, keywords, headings, text) VALUES (?, ?, ?, ?, ?)",
                                 (number, *map(fold, columns)))  # fmt: skip
        for passage in document.passages:
            row = (len(self._numbers), fold(passage.section), fold(passage.text), number)
            self._connection.execute("INSERT INTO passage(rowid, heading, text, document) VALUES (?, ?, ?, ?)", row)
            self._numbers[passage.id] = len(self._numbers)

    def rank_documents(self, words: Iterable[str], phrases: Iterable[str]) -> dict[int, float]:
        """Document number to score (above 0, larger is better), best first.

        A word counts wherever it stands and once more in title or keywords, where alone a phrase counts.
        """
        found = list(words)
        terms = [_quoted(word) for word in found]
        terms += [f"{{title keywords}} : {_quoted(term)}" for term in (*found, *phrases)]
        return self._rank("document", " OR ".join(terms), _DOCUMENT_WEIGHTS, "")

    def rank_passages(self, terms: Iterable[str], document: int) -> dict[int, float]:
        """Passage number to score within one document, best first, for any of the words or phrases."""
        query = " OR ".join(map(_quoted, terms))
        return self._rank("passage", query, _PASSAGE_WEIGHTS, f"AND document = {document:d}")

    def number(self, passage: LibraryPassage) -> int:
        """The number of a passage of this index."""
        return self._numbers[passage.id]

    def holders(self, word: str) -> frozenset[int]:
        """Numbers of the documents that hold the word in any column."""
        rows = self._connection.execute("SELECT rowid FROM document WHERE document MATCH ?", (_quoted(word),))
        return frozenset(int(row) for (row,) in rows)

    def _rank(self, table: str, query: str, weights: tuple[float, ...], condition: str) -> dict[int, float]:
        if not query:
            return {}
        score = f"bm25({table}, {', '.join(map(str, weights))})"
        # Table, weights and condition are our own constants and numbers; what the person typed is a bound parameter.
        statement = f"SELECT rowid, {score} AS s FROM {table} WHERE {table} MATCH ? {condition} ORDER BY s, rowid"
        return {int(row): -float(value) for row, value in self._connection.execute(statement, (query,))}


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'
