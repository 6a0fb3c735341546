"""Plain full-text search: FTS5 as it comes, its own BM25 over title, section and text, any word of the question."""

import re
import sqlite3
from collections.abc import Sequence

from assistant.knowledge.library import Document, LibraryPassage


class PlainSearch:
    """An index of the default tokenizer."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._passages = [passage for document in documents for passage in document.passages]
        self._connection = sqlite3.connect(":memory:")
        self._connection.execute("CREATE VIRTUAL TABLE passage USING fts5(title, section, text)")
        rows = ((number, each.title, each.section, each.text) for number, each in enumerate(self._passages))
        self._connection.executemany("INSERT INTO passage(rowid, title, section, text) VALUES (?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Let the index go."""
        self._connection.close()

    def search(self, question: str, limit: int) -> list[LibraryPassage]:
        """The best passages, best first."""
        query = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        statement = "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY rank LIMIT ?"
        return [self._passages[number] for (number,) in self._connection.execute(statement, (query, limit))]
