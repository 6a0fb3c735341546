"""What was done with a history, and when: counts, never text. Rows are only ever added."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from assistant.history.conversation import now
from assistant.history.database import Connection

What = Literal[
    "created",
    "opened",
    "wrong passphrases",
    "passphrase changed",
    "recovered",
    "adopted",
    "imported",
    "exported",
    "removed",
    "purged",
    "retention set",
    "retention applied",
    "backed up",
    "restored",
]


@dataclass(frozen=True)
class Event:
    """One row: `count` is how many conversations, wrong passphrases, or days of retention."""

    at: datetime
    what: What
    count: int


def record(connection: Connection, what: What, count: int) -> None:
    """Add a row."""
    connection.execute(
        "INSERT INTO audit(at, what, count) VALUES (?, ?, ?)", (now().isoformat(timespec="seconds"), what, count)
    )


def events(connection: Connection, limit: int) -> list[Event]:
    """The newest rows, the newest first."""
    rows = connection.execute("SELECT at, what, count FROM audit ORDER BY number DESC LIMIT ?", (limit,))
    return [Event(datetime.fromisoformat(at), cast("What", what), count) for at, what, count in rows]
