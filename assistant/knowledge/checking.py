"""What of a library is no longer as it was written: the file's structure, its texts, its indexes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from assistant.knowledge.database import damage, open_for_reading
from assistant.knowledge.writing import damaged_documents, folds_alike

_MOST_NAMED = 3
_COUNTS = (
    "SELECT count(*), coalesce(sum(passages), 0) FROM document",
    "SELECT (SELECT count(*) FROM document_words), (SELECT count(*) FROM passage_words)",
)


def find_faults(path: Path) -> list[str]:
    """One line for each kind of fault; none where all is well. Raises DamagedLibraryError for a file that cannot be read."""
    faults = []
    with closing(open_for_reading(path)) as connection, damage(path):
        structure = [str(row) for (row,) in connection.execute("PRAGMA integrity_check(1)")]
        if structure != ["ok"]:
            faults.append(f"the file is damaged ({structure[0]}); remove it and add its documents again")
        elif damaged := damaged_documents(connection):
            named = ", ".join(damaged[:_MOST_NAMED])
            faults.append(f"{len(damaged)} documents are damaged ({named}); remove it and add its documents again")
        elif not _indexes_hold(connection):
            faults.append("the indexes are damaged; mend them with --repair")
        elif not folds_alike(connection):
            faults.append("indexed by another version of Bedside; mend it with --repair")
    return faults


def _indexes_hold(connection: sqlite3.Connection) -> bool:
    """FTS5's own check, which needs a copy that it may write to; and as many rows as there are texts."""
    texts, indexed = (connection.execute(statement).fetchone() for statement in _COUNTS)
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        try:
            for table in ("document_words", "passage_words"):
                copy.execute(f"INSERT INTO {table}({table}) VALUES ('integrity-check')")
        except sqlite3.DatabaseError:
            return False
    return bool(texts == indexed)
