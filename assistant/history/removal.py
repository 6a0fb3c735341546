"""Removing for good: rows, their words in the indexes, what the write-ahead log still has of them, and the room.

SQLite overwrites what is deleted (`secure_delete`, and `secure-delete` of FTS5). Older copies of a page stay in the log
until it is emptied, and words may stay in a full-text index until its parts are merged; both are done here.
"""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from assistant.history import audit
from assistant.history.clock import clock_state
from assistant.history.conversation import now
from assistant.history.database import Connection, DatabaseError, is_full, transaction
from assistant.history.place import former_copies
from assistant.history.rows import time_text
from models.disk import storage_errors

_AHEAD = timedelta(days=1)
_AT_ONCE = 16  # conversations in a transaction: the log stays small where the disk is full


@dataclass(frozen=True)
class Purged:
    """What came of a purge."""

    conversations: int
    is_compact: bool
    """Whether the file holds nothing but what is left; not so while another terminal reads or the disk is full."""


def remove(connection: Connection, number: int) -> None:
    """Remove the conversation of this row."""
    with transaction(connection):
        connection.execute("DELETE FROM conversation WHERE number = ?", (number,))
        audit.record(connection, "removed", 1)
    empty_log(connection)


def purge(connection: Connection, before: datetime | None, what: audit.What) -> Purged:
    """Remove all conversations, or those that were last changed before a time, and make the file anew without them."""
    condition, values = ("", ()) if before is None else ("WHERE changed_at < ?", (time_text(before),))
    rows = connection.execute(f"SELECT number FROM conversation {condition}", values).fetchall()
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        with transaction(connection):
            connection.executemany("DELETE FROM conversation WHERE number = ?", some)
            audit.record(connection, what, len(some))
        empty_log(connection)
    return Purged(len(rows), _compact(connection))


def empty_log(connection: Connection) -> bool:
    """Move the write-ahead log into the database and cut it to nothing; not so while another terminal reads."""
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def _compact(connection: Connection) -> bool:
    try:
        for index in ("message_words", "title_words"):
            connection.execute(f"INSERT INTO {index}({index}) VALUES ('optimize')")
        connection.execute("VACUUM")
        return empty_log(connection)
    except DatabaseError as error:
        if not is_full(error):
            raise
        return False


def why_not_by_age(connection: Connection, root: Path) -> str | None:
    """Why the age of conversations cannot be told now; None where it can."""
    state = clock_state(root)
    if state != "synchronised":
        told = "is not synchronised" if state == "unsynchronised" else "cannot be told to be synchronised"
        return f"this machine's clock {told}; connect it to a time service (timedatectl set-ntp true)"
    # A message of days ahead came with an import: it says nothing about this clock, and must not stop this for ever.
    before = time_text(now() + _AHEAD)
    newest = connection.execute("SELECT max(written_at) FROM message WHERE written_at < ?", (before,)).fetchone()[0]
    if newest is not None and time_text(now()) < newest:
        return f"this machine's clock is earlier than the newest message ({newest[:10]}); set it right"
    return None


def remove_copies(folder: Path) -> None:
    """Remove the histories that were kept aside: they hold what is to be purged. Raises StorageError."""
    with storage_errors(folder):
        for copy in former_copies(folder):
            if copy.is_dir():
                shutil.rmtree(copy)
            else:
                copy.unlink()


def is_any_older(connection: Connection, before: datetime) -> bool:
    """Whether a conversation was last changed before this time."""
    found = connection.execute("SELECT 1 FROM conversation WHERE changed_at < ? LIMIT 1", (time_text(before),))
    return found.fetchone() is not None


def days_ago(days: int) -> datetime:
    """The time before which a conversation is older than so many days."""
    return now() - timedelta(days=days)
