"""The encrypted file: how it is opened, its tables, and what its refusals mean.

The key is 32 random bytes and goes to SQLCipher as it is; each page is sealed by AES-256 and an HMAC. Write-ahead logging
with full synchronisation: what a call has returned from is on the disk. Deleted text is overwritten, in tables and in
the full-text indexes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import DiskFullError, HistoryError
from assistant.history.place import older_file
from models.disk import replacing

if TYPE_CHECKING:  # the same interface, with types
    import sqlite3 as driver
else:
    from sqlcipher3 import dbapi2 as driver

Connection = driver.Connection
DatabaseError = driver.DatabaseError

_APPLICATION = 0x62656468  # "bedh"
_BUSY_S = 5.0  # so long another terminal may be writing
_FULL, _BUSY, _LOCKED, _READ_ONLY, _NOT_A_DATABASE, _CORRUPT = 13, 5, 6, 8, 26, 11
_FIRST = """
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE conversation(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, started_at TEXT NOT NULL,
    changed_at TEXT NOT NULL, tags TEXT NOT NULL, tip TEXT);
CREATE INDEX conversation_by_change ON conversation(changed_at);
CREATE TABLE message(
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversation(number) ON DELETE CASCADE,
    parent TEXT, role TEXT NOT NULL, text TEXT NOT NULL, written_at TEXT NOT NULL, state TEXT NOT NULL,
    details TEXT NOT NULL, writer TEXT);
CREATE INDEX message_of_conversation ON message(conversation, number);
CREATE INDEX message_being_written ON message(writer) WHERE state = 'writing';
CREATE VIRTUAL TABLE message_words USING fts5(
    text, content = 'message', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE title_words USING fts5(
    title, content = 'conversation', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO message_words(message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO title_words(title_words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER message_added AFTER INSERT ON message BEGIN
    INSERT INTO message_words(rowid, text) VALUES (new.number, new.text); END;
CREATE TRIGGER message_changed AFTER UPDATE OF text ON message BEGIN
    INSERT INTO message_words(message_words, rowid, text) VALUES ('delete', old.number, old.text);
    INSERT INTO message_words(rowid, text) VALUES (new.number, new.text); END;
CREATE TRIGGER message_removed AFTER DELETE ON message BEGIN
    INSERT INTO message_words(message_words, rowid, text) VALUES ('delete', old.number, old.text); END;
CREATE TRIGGER conversation_added AFTER INSERT ON conversation BEGIN
    INSERT INTO title_words(rowid, title) VALUES (new.number, new.title); END;
CREATE TRIGGER conversation_renamed AFTER UPDATE OF title ON conversation BEGIN
    INSERT INTO title_words(title_words, rowid, title) VALUES ('delete', old.number, old.title);
    INSERT INTO title_words(rowid, title) VALUES (new.number, new.title); END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversation BEGIN
    INSERT INTO title_words(title_words, rowid, title) VALUES ('delete', old.number, old.title); END;
CREATE TABLE audit(number INTEGER PRIMARY KEY, at TEXT NOT NULL, what TEXT NOT NULL, count INTEGER NOT NULL);
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_fixed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;
"""
STEPS: tuple[str, ...] = (_FIRST,)
"""Each makes the tables of one format from those of the format before; the first makes them from nothing."""


def open_in_memory() -> Connection:
    """A database that is nowhere but in this process."""
    connection = _connected(":memory:")
    _migrate(connection, STEPS)
    return connection


def create(path: Path, key: bytes) -> None:
    """Make an empty database, all of it or none. Raises StorageError or HistoryError."""
    with replacing(path, 0o600) as temporary, refusals(path):
        connection = _connected(str(temporary), key)
        try:
            _migrate(connection, STEPS)
        finally:
            connection.close()


def open_file(path: Path, key: bytes, steps: tuple[str, ...] = STEPS) -> Connection:
    """A connection that any thread may use, one at a time; an older format becomes this one, a copy is kept.

    Raises:
        HistoryError: the file is absent, damaged, another key's, of a newer Bedside, or may not be written.
    """
    if not path.exists():
        raise HistoryError(
            f"{path} is missing: its key is here but no conversation; put it back, or restore a backup (bedside history "
            f"restore FILE --force); to begin anew move {path.parent} away"
        )
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise HistoryError(f"{path} may not be written by this user; check the owner of it and of its folder")
    with refusals(path):
        connection = _connected(str(path), key)
        try:
            _check(connection, path, len(steps))
            connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, steps, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _connected(address: str, key: bytes | None = None) -> Connection:
    connection = driver.connect(address, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to the terminal
    if key is not None:
        # `cipher_memory_security` stays off: wiping SQLite's memory makes searches three times as slow, and the same text
        # is in Python's strings, which nothing wipes.
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
    for setting in ("synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _check(connection: Connection, path: Path, newest: int) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION or version < 1:
        raise HistoryError(f"{path} is no history of Bedside; move it away")
    if version > newest:
        raise HistoryError(
            f"{path} was written by a newer Bedside (format {version}, this one reads {newest}); update Bedside"
        )


def _migrate(connection: Connection, steps: tuple[str, ...], path: Path | None = None) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == len(steps):
        return
    if path is not None:
        _keep_copy(connection, older_file(path.parent, version))
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]  # another terminal may have been faster
        for step in steps[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _statements(script: str) -> Iterator[str]:
    """One by one: running a script as a whole would commit the transaction that it is to be part of."""
    waiting = ""
    for line in script.splitlines():
        waiting += line + "\n"
        if driver.complete_statement(waiting):
            yield waiting
            waiting = ""


def _keep_copy(connection: Connection, path: Path) -> None:
    with replacing(path, 0o600) as temporary:
        copy_into(connection, temporary)


def faults(connection: Connection) -> list[str]:
    """What is not as it was written: seals of the pages, structure, full-text indexes. Raises DatabaseError."""
    found = [row[0] for row in connection.execute("PRAGMA cipher_integrity_check")]
    found += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    for index in ("message_words", "title_words"):
        connection.execute(f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)")
    return found


def copy_into(connection: Connection, path: Path) -> None:
    """Write all that is committed as a database with the same key; an empty file may be there. Raises DatabaseError."""
    connection.execute("VACUUM INTO ?", (str(path),))


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All that the block writes, or nothing; other terminals wait. Durable where it ends well."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself where the disk is full
            connection.execute("ROLLBACK")
        raise


@contextmanager
def refusals(path: Path | None) -> Iterator[None]:
    """Say in one line what a failing read or write of the history means. Raises HistoryError."""
    try:
        yield
    except DatabaseError as error:
        where = path or "the history in memory"
        if is_full(error):
            raise DiskFullError(
                f"{where}: not saved, since the disk is full; free some of it, or remove conversations (bedside history "
                f"purge --older-than DAYS)"
            ) from None
        raise HistoryError(f"{where}: {_meaning(error)}") from None


def is_full(error: DatabaseError) -> bool:
    """Whether there was no room on the disk."""
    return _code(error) == _FULL


def _code(error: DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _meaning(error: DatabaseError) -> str:
    code = _code(error)
    if code in (_BUSY, _LOCKED):
        return "not saved: another terminal has been writing for too long; try again, or close it"
    if code == _READ_ONLY:
        return "not saved: it may not be written; check the owner of the file and of its folder"
    if code in (_NOT_A_DATABASE, _CORRUPT):
        return (
            "it is damaged, or belongs to another key; restore a backup (bedside history restore FILE --force); "
            "nothing was changed"
        )
    return f"the database refuses ({error}); check the disk, then try again"
