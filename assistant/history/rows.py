"""Conversations and messages as rows of the tables, and back."""

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from assistant.errors import HistoryError, RemovedError
from assistant.history.conversation import (
    MAX_MESSAGES,
    MAX_TAG,
    MAX_TAGS,
    MAX_TEXT,
    MAX_TITLE,
    Conversation,
    Message,
)
from assistant.history.database import Connection
from assistant.plaintext import plain, plain_line

CONVERSATION = "c.id, c.title, c.started_at, c.changed_at, c.tags, c.tip"
_MESSAGE = "id, parent, role, text, written_at, state, details"


def conversations(connection: Connection, condition: str, *values: str | int) -> list[Conversation]:
    """Those that a condition on `conversation c` selects, in its order."""
    found = connection.execute(f"SELECT {CONVERSATION} FROM conversation c {condition}", values)
    return [conversation_of(row) for row in found]


def tags(connection: Connection) -> list[str]:
    """Those that conversations have, the most frequent first."""
    found = connection.execute(
        "SELECT value FROM conversation, json_each(tags) GROUP BY value ORDER BY count(*) DESC, value"
    )
    return [tag for (tag,) in found]


def conversation_of(row: Sequence[Any]) -> Conversation:
    """From the columns `CONVERSATION`."""
    found_id, title, started_at, changed_at, tags, tip = row
    return Conversation(found_id, title, _time(started_at), _time(changed_at), tuple(json.loads(tags)), tip)


def number_of(connection: Connection, conversation_id: str) -> int:
    """The row of a conversation. Raises RemovedError."""
    row = connection.execute("SELECT number FROM conversation WHERE id = ?", (conversation_id,)).fetchone()
    if row is None:
        raise RemovedError(f"no conversation {plain_line(conversation_id)!r}; see bedside history list")
    return int(row[0])


def place_of(connection: Connection, message_id: str) -> int | None:
    """The row of the conversation that a message is in; None where there is no such message."""
    row = connection.execute("SELECT conversation FROM message WHERE id = ?", (message_id,)).fetchone()
    return None if row is None else int(row[0])


def insert_conversation(connection: Connection, conversation: Conversation) -> int:
    """Add a conversation without messages: its row."""
    row = (
        conversation.id,
        title_text(conversation.title),
        time_text(conversation.started_at),
        time_text(conversation.changed_at),
        tags_text(conversation.tags),
        conversation.tip,
    )
    statement = "INSERT INTO conversation(id, title, started_at, changed_at, tags, tip) VALUES (?, ?, ?, ?, ?, ?)"
    return int(connection.execute(statement, row).lastrowid or 0)


def insert_message(connection: Connection, conversation: int, message: Message, writer: str | None) -> None:
    """Add a message to the conversation of this row; `writer` is who goes on writing it. Raises HistoryError as `text_of`."""
    row = (
        message.id,
        conversation,
        message.parent,
        message.role,
        text_of(message),
        time_text(message.written_at),
        message.state,
        json.dumps(message.details),
        writer,
    )
    connection.execute(
        "INSERT INTO message(id, conversation, parent, role, text, written_at, state, details, writer) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def update_message(connection: Connection, message: Message, writer: str | None) -> bool:
    """Replace what is kept of a message; whether there was one. Raises HistoryError as `text_of`."""
    text = text_of(message)
    changed = connection.execute(
        "UPDATE message SET state = ?, details = ?, writer = ? WHERE id = ?",
        (message.state, json.dumps(message.details), writer, message.id),
    ).rowcount
    # Only a text that is another one is worth the full-text index's work.
    connection.execute("UPDATE message SET text = ? WHERE id = ? AND text <> ?", (text, message.id, text))
    return bool(changed)


def messages_of(connection: Connection, conversation: int) -> list[Message]:
    """All messages of the conversation of this row, in the order in which they were added."""
    statement = f"SELECT {_MESSAGE} FROM message WHERE conversation = ? ORDER BY number"
    return [_message_of(row) for row in connection.execute(statement, (conversation,))]


def being_written(connection: Connection, conversation: int) -> list[tuple[str, str]]:
    """Of each answer in the conversation of this row that is being written its id and who writes it."""
    statement = "SELECT id, writer FROM message WHERE conversation = ? AND state = 'writing' AND writer IS NOT NULL"
    return connection.execute(statement, (conversation,)).fetchall()


def _message_of(row: Sequence[Any]) -> Message:
    found_id, parent, role, text, written_at, state, details = row
    return Message(found_id, parent, role, text, _time(written_at), state, json.loads(details))


def require_room(connection: Connection, conversation: int) -> None:
    """Raise HistoryError where the conversation of this row has as many messages as can be brought in again."""
    count = connection.execute("SELECT count(*) FROM message WHERE conversation = ?", (conversation,)).fetchone()[0]
    if count >= MAX_MESSAGES:
        raise HistoryError(
            f"not saved: a conversation has at most {MAX_MESSAGES:,} messages, and this one has them; begin a new one"
        )


def text_of(message: Message) -> str:
    """A message as its column has it. Raises HistoryError where it is too long to be brought in again."""
    text = plain(message.text)
    if len(text) > MAX_TEXT:
        raise HistoryError(
            f"not saved: the message has {len(text):,} characters and may have {MAX_TEXT:,}; shorten it, or divide it"
        )
    return text


def title_text(title: str) -> str:
    """A title as its column has it: one line. Raises HistoryError where it is too long to be brought in again."""
    line = plain_line(title)
    if len(line) > MAX_TITLE:
        raise HistoryError(f"the title has {len(line):,} characters and may have {MAX_TITLE:,}; give a shorter one")
    return line


def tags_text(tags: Sequence[str]) -> str:
    """Tags as their column has them: one line each, none twice. Raises HistoryError as `title_text`, or for too many."""
    lines = [*dict.fromkeys(filter(None, map(plain_line, tags)))]
    longest = max(map(len, lines), default=0)
    if longest > MAX_TAG:
        raise HistoryError(f"a tag has {longest:,} characters and may have {MAX_TAG}; give a shorter one")
    if len(lines) > MAX_TAGS:
        raise HistoryError(f"there are {len(lines):,} tags and may be {MAX_TAGS}; give fewer")
    return json.dumps(lines)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def time_text(time: datetime) -> str:
    """Of one length, so that the order of the texts is that of the times."""
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")
