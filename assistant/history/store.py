"""A history: conversations that can be added to, searched and removed; what a call has returned from is kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from assistant.errors import DiskFullError, HistoryError, RemovedError
from assistant.history import audit, database, removal, rows
from assistant.history.clock import MACHINE
from assistant.history.conversation import Conversation, Hit, Message, new_id, now
from assistant.history.database import Connection, DatabaseError, is_full, refusals, transaction
from assistant.history.place import database_file, new_mark, refused_file
from assistant.history.presence import Presence
from assistant.history.removal import Purged
from assistant.history.reserve import Reserve
from assistant.history.search import search
from assistant.plaintext import plain_line
from models.disk import storage_errors

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Taken:
    """How much was new of what was taken in."""

    conversations: int
    messages: int


class History:
    """One connection; safe to call from one thread at a time.

    Titles, tags and texts lose what a terminal could take for a command. Whatever changes something raises DiskFullError
    where there is no room for it, and HistoryError where it may not be written, is damaged, or another terminal writes
    for too long; nothing is half-done then.
    """

    def __init__(self, connection: Connection, folder: Path | None = None, presence: Presence | None = None) -> None:
        self._connection, self._folder, self._presence = connection, folder, presence

    @classmethod
    def in_memory(cls) -> "History":
        """A history of which nothing reaches the disk."""
        return cls(database.open_in_memory())

    @classmethod
    def open(cls, folder: Path, key: bytes) -> "History":
        """The history in a folder; answers whose writer is gone are stopped, with their text.

        Raises:
            HistoryError: the database is missing, damaged, another key's, of a newer Bedside, or may not be written.
            StorageError: the disk refuses.
        """
        with storage_errors(folder):  # a disk that has gone says so at any of the files
            return cls._open(folder, key)

    @classmethod
    def _open(cls, folder: Path, key: bytes) -> "History":
        presence = Presence(folder)
        try:
            path, is_new = database_file(folder), new_mark(folder).exists()
            if is_new and not path.exists():
                database.create(path, key)
            connection = _connected(folder, key)
        except BaseException:
            presence.close()
            raise
        history = cls(connection, folder, presence)
        try:
            history._arrive(folder, presence, "created" if is_new else "opened")
        except BaseException:
            history.close()
            raise
        return history

    def _arrive(self, folder: Path, presence: Presence, what: audit.What) -> None:
        """Note the visit, and stop what nobody writes any more. A full disk may be read all the same."""
        refused = refused_file(folder)
        refusals_since = refused.stat().st_size if refused.exists() else 0
        try:
            with self._writing():
                self._stop(presence.is_gone)
                audit.record(self._connection, what, 1)
                if refusals_since:
                    audit.record(self._connection, "wrong passphrases", refusals_since)
        except DiskFullError:
            return
        presence.forget_gone()
        for done in (refused, new_mark(folder)):
            done.unlink(missing_ok=True)
        Reserve(folder).keep()

    def _stop(self, is_gone: Callable[[str], bool]) -> None:
        for (writer,) in self._connection.execute(
            "SELECT DISTINCT writer FROM message WHERE state = 'writing'"
        ).fetchall():
            if is_gone(writer):
                self._connection.execute(
                    "UPDATE message SET state = 'stopped', writer = NULL WHERE state = 'writing' AND writer = ?",
                    (writer,),
                )

    @property
    def persistent(self) -> bool:
        """Whether it outlives the process."""
        return self._folder is not None

    def close(self) -> None:
        """Let go of the files; an answer that is still being written is stopped by whoever opens the history next."""
        self._connection.close()
        if self._presence is not None:
            self._presence.close()

    def start(self, title: str) -> Conversation:
        """A new, empty conversation."""
        begun = now()
        conversation = Conversation(new_id(), rows.title_text(title), begun, begun)
        with self._writing():
            rows.insert_conversation(self._connection, conversation)
        return conversation

    def add(self, conversation_id: str, message: Message) -> None:
        """Put a message into a conversation and show its branch. Raises HistoryError where it takes no more."""
        with self._writing():
            number = rows.number_of(self._connection, conversation_id)
            rows.require_room(self._connection, number)
            if message.parent is not None and rows.place_of(self._connection, message.parent) != number:
                raise RemovedError("not saved: what the message follows is not in this conversation any more")
            if rows.place_of(self._connection, message.id) is not None:
                raise HistoryError(f"message {plain_line(message.id)!r} is in the history already")
            rows.insert_message(self._connection, number, message, self._writer_of(message))
            self._connection.execute(
                "UPDATE conversation SET tip = ?, changed_at = max(changed_at, ?) WHERE number = ?",
                (message.id, rows.time_text(message.written_at), number),
            )

    def change(self, message: Message) -> None:
        """Replace text, state and details of a message: an answer's progress, and its end."""
        with self._writing():
            if not rows.update_message(self._connection, message, self._writer_of(message)):
                raise RemovedError("not saved: the message is not in the history any more")

    def _writer_of(self, message: Message) -> str | None:
        return self._presence.writer() if message.state == "writing" and self._presence else None

    def show_branch(self, conversation_id: str, tip: str) -> None:
        """Let the branch that ends with this message be the one that is shown."""
        with self._writing():
            number = rows.number_of(self._connection, conversation_id)
            if rows.place_of(self._connection, tip) != number:
                raise HistoryError(f"message {plain_line(tip)!r} is not in this conversation")
            self._connection.execute("UPDATE conversation SET tip = ? WHERE number = ?", (tip, number))

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title. Raises HistoryError where it is empty or too long."""
        self.label(conversation_id, title, None)

    def set_tags(self, conversation_id: str, tags: Sequence[str]) -> None:
        """Give a conversation these tags instead of those that it has: a patient's pseudonym, for instance."""
        self.label(conversation_id, None, tags)

    def label(self, conversation_id: str, title: str | None, tags: Sequence[str] | None) -> None:
        """As `rename` and `set_tags`, both or neither; None leaves what is there."""
        new = {} if title is None else {"title": rows.title_text(title)}
        if title is not None and not new["title"]:
            raise HistoryError(
                "a title has at least one character; give another, or none to keep the one that is there"
            )
        if tags is not None:
            new["tags"] = rows.tags_text(tags)
        with self._writing():
            number = rows.number_of(self._connection, conversation_id)
            for column, value in new.items():
                self._connection.execute(f"UPDATE conversation SET {column} = ? WHERE number = ?", (value, number))

    def conversation(self, conversation_id: str) -> Conversation:
        """One conversation. Raises HistoryError where there is none of that name."""
        with self._reading():
            number = rows.number_of(self._connection, conversation_id)
            return rows.conversations(self._connection, "WHERE c.number = ?", number)[0]

    def conversations(self, limit: int, tag: str | None = None) -> list[Conversation]:
        """At most so many (-1: all), the last changed first; with a tag, only those that have it."""
        newest_first = "ORDER BY c.changed_at DESC, c.number DESC LIMIT ?"
        with self._reading():
            if tag is None:
                return rows.conversations(self._connection, newest_first, limit)
            tagged = "WHERE EXISTS (SELECT 1 FROM json_each(c.tags) WHERE value = ?)"
            return rows.conversations(self._connection, f"{tagged} {newest_first}", plain_line(tag), limit)

    def tags(self) -> list[str]:
        """All tags that conversations have, those of the most conversations first."""
        with self._reading():
            return rows.tags(self._connection)

    def messages(self, conversation_id: str) -> list[Message]:
        """All messages of a conversation, of all its branches, the oldest first."""
        with self._reading():
            return rows.messages_of(self._connection, rows.number_of(self._connection, conversation_id))

    def growing(self, conversation_id: str) -> frozenset[str]:
        """Ids of the answers in a conversation that another terminal is writing now."""
        with self._reading():
            number = rows.number_of(self._connection, conversation_id)
            found = rows.being_written(self._connection, number)
        presence = self._presence
        return frozenset(name for name, writer in found if presence is not None and presence.is_another(writer))

    def search(self, query: str, limit: int) -> list[Hit]:
        """Titles and messages that fit, the best first; any text is a query."""
        with self._reading():
            return search(self._connection, query, limit)

    def adopt(self, other: "History") -> None:
        """Copy all of another history into this one, in one transaction."""
        found = [(conversation, other.messages(conversation.id)) for conversation in other.conversations(limit=-1)]
        self.take_in(reversed(found), "adopted")

    def take_in(self, found: Iterable[tuple[Conversation, Sequence[Message]]], what: audit.What) -> Taken:
        """Add conversations with their messages, in one transaction; those that are here already are completed.

        Raises:
            HistoryError: a message is part of another conversation here; nothing is taken in then.
        """
        before = self._connection.total_changes
        conversations = messages = 0
        with self._writing():
            for conversation, its_messages in found:
                is_new, added = self._take_in(conversation, its_messages)
                conversations += is_new
                messages += added
            if self._connection.total_changes != before:
                audit.record(self._connection, what, conversations)
        return Taken(conversations, messages)

    def _take_in(self, conversation: Conversation, messages: Sequence[Message]) -> tuple[bool, int]:
        is_new = not rows.conversations(self._connection, "WHERE c.id = ?", conversation.id)
        number = (
            rows.insert_conversation(self._connection, conversation)
            if is_new
            else rows.number_of(self._connection, conversation.id)
        )
        added = 0
        for message in messages:
            place = rows.place_of(self._connection, message.id)
            if place not in (None, number):
                raise HistoryError(f"message {plain_line(message.id)!r} is part of another conversation here")
            if place is None:
                rows.insert_message(self._connection, number, message, self._writer_of(message))
                added += 1
        return is_new, added

    def remove(self, conversation_id: str) -> None:
        """Remove a conversation: its text is overwritten, in the full-text index too."""
        with self._reading():
            number = rows.number_of(self._connection, conversation_id)
            self._with_room(lambda: removal.remove(self._connection, number))

    def purge(self, older_than_days: int | None, root: Path = MACHINE) -> Purged:
        """Remove all conversations (None), or those last changed so many days ago, and make the file anew without them.

        Histories that were kept aside in the folder hold them too, and go as a whole.

        Raises:
            HistoryError: by age, while the clock cannot be believed; `root` is where its state is read.
        """
        with self._reading():
            if older_than_days is None:
                return self._purge(None, "purged")
            if reason := removal.why_not_by_age(self._connection, root):
                raise HistoryError(f"nothing was purged: {reason}, or remove conversations without their age")
            return self._purge(removal.days_ago(older_than_days), "purged")

    def _purge(self, before: datetime | None, what: audit.What) -> Purged:
        if self._folder is not None:
            removal.remove_copies(self._folder)
        return self._with_room(lambda: removal.purge(self._connection, before, what))

    @property
    def retention_days(self) -> int | None:
        """How many days after its last message a conversation is kept; None keeps them all."""
        with self._reading():
            row = self._connection.execute("SELECT value FROM setting WHERE name = 'retention_days'").fetchone()
        return None if row is None else int(row[0])

    def set_retention(self, days: int | None) -> None:
        """Keep conversations so many days after their last message, or all of them. Nothing is removed by this call."""
        with self._writing():
            self._connection.execute("DELETE FROM setting WHERE name = 'retention_days'")
            if days is not None:
                self._connection.execute("INSERT INTO setting VALUES ('retention_days', ?)", (str(days),))
            audit.record(self._connection, "retention set", days or 0)

    def apply_retention(self, root: Path = MACHINE) -> tuple[int, str | None]:
        """Remove what was kept long enough: how many conversations, or why none while the clock cannot be believed."""
        days = self.retention_days
        if days is None:
            return 0, None
        with self._reading():
            if reason := removal.why_not_by_age(self._connection, root):
                return 0, reason
            before = removal.days_ago(days)
            if not removal.is_any_older(self._connection, before):
                return 0, None
            return self._purge(before, "retention applied").conversations, None

    def events(self, limit: int) -> list[audit.Event]:
        """What was done with this history, the newest first."""
        with self._reading():
            return audit.events(self._connection, limit)

    def record(self, what: audit.What, count: int) -> None:
        """Add to what was done."""
        with self._writing():
            audit.record(self._connection, what, count)

    def copy_into(self, path: Path) -> None:
        """Write all that was saved as a database with the same key; an empty file may be there."""
        with self._reading():
            database.copy_into(self._connection, path)

    def faults(self) -> list[str]:
        """What is not as it was written, in the database and in its indexes; empty where all is well."""
        with self._reading():
            return database.faults(self._connection)

    def _with_room(self, work: Callable[[], _Result]) -> _Result:
        """Remove something, if need be in the room that was kept for it."""
        reserve = Reserve(self._folder) if self._folder is not None else None
        try:
            done = work()
        except DatabaseError as error:
            if reserve is None or not is_full(error) or not reserve.give_up():
                raise
            done = work()
        if reserve is not None:
            reserve.keep()
        return done

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._reading(), transaction(self._connection):
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with refusals(self._folder):
            yield


def _connected(folder: Path, key: bytes) -> Connection:
    """Reading takes some room too, beside the database: on a full disk that which was kept."""
    try:
        return database.open_file(database_file(folder), key)
    except HistoryError:
        if not (database_file(folder).exists() and Reserve(folder).give_up_if_needed()):
            raise
        return database.open_file(database_file(folder), key)
