"""The file of a library: its tables, and how it is opened; one SQLite database, written once and then only read.

`source` is a file that was added, `document` and `passage` its text; `document_words` and `passage_words` are the full-text
indexes (FTS5, contentless: the text is stored once) over the folded words, and the passages of a document are numbered in
a row. A change writes a new file that takes the old one's place, so that readers need no locks.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from assistant.errors import DamagedLibraryError, LibraryError
from assistant.plaintext import plain_line
from models.errors import StorageError

FORMAT = 1
_APPLICATION = 0x62656473  # "beds", as `file` shows it
_WORDS = ("document_words", "passage_words")
_TABLES = """
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, recipe TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, added TEXT NOT NULL, left_out INTEGER NOT NULL);
CREATE TABLE document(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source(id), key TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL, keywords TEXT NOT NULL, date TEXT NOT NULL, licence TEXT NOT NULL, follows TEXT NOT NULL,
    origin TEXT NOT NULL, digest TEXT NOT NULL, first_passage INTEGER NOT NULL, passages INTEGER NOT NULL);
CREATE INDEX document_of_source ON document(source, key);
CREATE TABLE passage(id INTEGER PRIMARY KEY, section TEXT NOT NULL, text TEXT NOT NULL, position TEXT NOT NULL);
"""
_INDEXES = """
DROP TABLE IF EXISTS document_words;
DROP TABLE IF EXISTS passage_words;
CREATE VIRTUAL TABLE document_words USING fts5(
    title, keywords, headings, text, content = '', tokenize = 'porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE passage_words USING fts5(
    heading, text, content = '', tokenize = 'porter unicode61 remove_diacritics 2');
"""

# A file may come from anywhere, and SQLite lets any column hold any type.
_ODD_DOCUMENT = """
SELECT 1 FROM document
WHERE typeof(key) || typeof(name) || typeof(title) || typeof(keywords) || typeof(date) || typeof(licence)
    || typeof(follows) || typeof(origin) || typeof(digest) <> 'texttexttexttexttexttexttexttexttext'
OR typeof(first_passage) || typeof(passages) <> 'integerinteger'
OR first_passage NOT BETWEEN 1 AND 1000000000000 OR passages NOT BETWEEN 1 AND 1000
OR keywords <> '[]' AND (NOT json_valid(keywords) OR json_type(keywords) <> 'array'
    OR EXISTS (SELECT 1 FROM json_each(keywords) WHERE type <> 'text'))
LIMIT 1
"""
_ODD_PASSAGE = (
    "SELECT 1 FROM passage WHERE typeof(section) || typeof(text) || typeof(position) <> 'texttexttext' LIMIT 1"
)


@cache
def folding() -> str:
    """Which way words are folded: a digest of the module that does it. What it folds must be folded alike to be found."""
    return hashlib.sha256(files("assistant.knowledge").joinpath("words.py").read_bytes()).hexdigest()[:16]


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database a library's."""
    connection.executescript(f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT}; {_TABLES}")
    create_indexes(connection)


def create_indexes(connection: sqlite3.Connection) -> None:
    """Make the full-text indexes anew and empty. Raises LibraryError where this Python's SQLite lacks FTS5."""
    try:
        connection.executescript(_INDEXES)
    except sqlite3.OperationalError as error:
        if "fts5" not in str(error):
            raise
        raise LibraryError(f"this Python's SQLite cannot search text ({error}); install one with FTS5") from error
    connection.execute("INSERT OR REPLACE INTO setting VALUES ('folding', ?)", (folding(),))


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that can be used by any thread, one at a time. Raises DamagedLibraryError.

    `immutable` holds since a library's file is replaced, never changed: no lock is taken, no write permission needed.
    """
    return _opened(path, f"file:{quote(os.fsencode(path.absolute()))}?mode=ro&immutable=1", (_ODD_DOCUMENT,))


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection to a copy that nobody else knows yet: fast, and worthless where it does not come to its end."""
    connection = _opened(path, f"file:{quote(os.fsencode(path.absolute()))}?mode=rw", (_ODD_DOCUMENT, _ODD_PASSAGE))
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536")
    return connection


def _opened(path: Path, address: str, odd: Sequence[str]) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise DamagedLibraryError(f"cannot open {path} ({error}); check its owner and the disk", path) from None
    try:
        with damage(path):
            _check(connection, path)
            _check_schema(connection, path)
            _check_values(connection, path, odd)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise DamagedLibraryError(f"{path} is no library of Bedside; move it away", path)
    if version != FORMAT:
        raise DamagedLibraryError(
            f"{path} has format {version} and this Bedside reads {FORMAT}; update Bedside, or remove the library and "
            f"add its documents again",
            path,
        )


@cache
def _schema() -> dict[str, tuple[str, str]]:
    """Type and statement of all that `create_tables` makes, by name."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection)
        return dict(_schema_rows(connection))


def _schema_rows(connection: sqlite3.Connection) -> Iterator[tuple[str, tuple[str, str]]]:
    for kind, name, statement in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        yield str(name), (str(kind), " ".join(str(statement).split()))


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what was not made here: a view in a table's place, or a trigger, would run as the library is read or changed.

    Of the indexes another version's may be there, which are made anew before they are changed.
    """
    for name, (kind, statement) in _schema_rows(connection):
        is_index = name in _WORDS and statement.startswith(f"CREATE VIRTUAL TABLE {name} USING fts5(")
        if not is_index and _schema().get(name) != (kind, statement):
            raise damaged(path, f"{plain_line(name)[:40]!r} is none of its tables")


def _check_values(connection: sqlite3.Connection, path: Path, odd: Sequence[str]) -> None:
    if any(connection.execute(statement).fetchone() for statement in odd):
        raise damaged(path, "it holds values of another type")


def damaged(path: Path | None, why: object) -> DamagedLibraryError:
    """The error for a library whose content is not what was written."""
    where = path or "the library in memory"
    return DamagedLibraryError(
        f"{where} is damaged or no library of Bedside ({plain_line(str(why))}); remove the library and add its documents again",
        path,
    )


@contextmanager
def damage(path: Path | None) -> Iterator[None]:
    """Say in one line what a failing read or write of a library means."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        where = path or "the library in memory"
        if "disk is full" in str(error) or "I/O" in str(error):
            raise StorageError(f"{where}: {error}; free some disk or check it, then run the command again") from None
        raise damaged(path, error) from None
