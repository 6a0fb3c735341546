"""Conversations as a JSON document, and back without loss; what is read may come from anywhere and is checked whole."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from math import isfinite
from typing import Any, NoReturn, cast

from assistant.history.conversation import (
    MAX_MESSAGES,
    MAX_TAG,
    MAX_TAGS,
    MAX_TEXT,
    MAX_TITLE,
    ROLES,
    STATES,
    Conversation,
    Message,
    Role,
    State,
)
from assistant.plaintext import plain_line

FORMAT, VERSION = "bedside-history", 1
MAX_FILE_BYTES = 256 << 20
_MAX_DETAILS_BYTES = 4 << 20
_MAX_DIGITS, _MAX_DEPTH = 100, 50
_YEARS = range(2000, 2100)  # of which any machine can tell the time in its own zone
_LISTS, _OBJECTS = ("sources", "checks"), ("red_flags", "versions", "usage")
_ID = re.compile("[0-9a-f]{32}")

Found = tuple[Conversation, Sequence[Message]]
Row = dict[str, Any]


def document_of(found: Iterable[Found], provenance: Mapping[str, Any]) -> Row:
    """The document: conversations with their messages, and where it comes from."""
    conversations = [conversation_fields(conversation, messages) for conversation, messages in found]
    return {"format": FORMAT, "version": VERSION, **provenance, "conversations": conversations}


def conversation_fields(conversation: Conversation, messages: Sequence[Message]) -> Row:
    """One conversation, the messages of all its branches in the order in which they were added."""
    return {
        **summary_fields(conversation),
        "messages": [{**vars(message), "written_at": message.written_at.isoformat()} for message in messages],
    }


def summary_fields(conversation: Conversation) -> Row:
    """One conversation without its messages."""
    return {
        **vars(conversation),
        "started_at": conversation.started_at.isoformat(),
        "changed_at": conversation.changed_at.isoformat(),
        "tags": list(conversation.tags),
    }


def read_document(data: bytes) -> list[Found]:
    """The conversations of a document.

    Raises:
        FaultyDocumentError: it is no export of a history, of a newer Bedside, or says something that cannot be.
    """
    try:
        fields = json.loads(
            data.decode("utf-8-sig"), parse_constant=_no_number, parse_int=_integer, parse_float=_finite
        )
        _require(isinstance(fields, dict) and fields.get("format") == FORMAT, "it is no JSON export of a history")
        _require(fields.get("version") == VERSION, f"it has version {fields.get('version')!r}, this reads {VERSION}")
        return _conversations(_list(fields, "conversations"))
    except UnicodeDecodeError as error:
        raise FaultyDocumentError(f"it is not UTF-8 text (byte {error.start})") from None
    except ValueError as error:
        raise FaultyDocumentError(f"it is no JSON ({plain_line(str(error))})") from None
    except RecursionError:
        raise FaultyDocumentError("lists and objects stand too deep in one another") from None


def refuse_times_after(found: Iterable[Found], latest: datetime) -> None:
    """Raise FaultyDocumentError where a conversation says that it is younger: it would never be old enough to be purged."""
    for conversation, messages in found:
        times = (conversation.started_at, conversation.changed_at, *(message.written_at for message in messages))
        _require(
            max(times) <= latest,
            f"conversation {conversation.id} has the time {max(times):%Y-%m-%d %H:%M} UTC, which is to come; set it right "
            f"in the file",
        )


class FaultyDocumentError(Exception):
    """What is wrong with a document."""


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise FaultyDocumentError(fault)


def _no_number(text: str) -> NoReturn:
    raise FaultyDocumentError(f"{text} is no number of JSON")


def _integer(text: str) -> int:
    _require(len(text) <= _MAX_DIGITS, f"a number has {len(text):,} digits and may have {_MAX_DIGITS}")
    return int(text)


def _finite(text: str) -> float:
    """What Python reads as infinity could not be brought in from an export."""
    _require(isfinite(float(text)), f"{plain_line(text[:40])} is too large a number")
    return float(text)


def _conversations(entries: Sequence[Any]) -> list[Found]:
    found: list[Found] = []
    seen: set[str] = set()
    for place, fields in enumerate(entries, start=1):
        _require(isinstance(fields, dict), f"conversation {place} is no object")
        conversation, messages = _conversation(fields), _messages(_list(fields, "messages"))
        ids = [conversation.id, *(message.id for message in messages)]
        _require(len({*ids} - seen) == len(ids), f"conversation {place} has an id that was there before")
        seen.update(ids)
        tip = conversation.tip
        _require(tip is None or tip in ids[1:], f"the tip of conversation {place} is none of its messages")
        found.append((conversation, messages))
    return found


def _conversation(fields: Row) -> Conversation:
    tags = _list(fields, "tags")
    _require(len(tags) <= MAX_TAGS, f"a conversation has at most {MAX_TAGS} tags")
    _require(all(isinstance(tag, str) and len(tag) <= MAX_TAG for tag in tags), "a tag is a short text")
    return Conversation(
        id=_id(fields, "id"),
        title=_text(fields, "title", MAX_TITLE),
        started_at=_time(fields, "started_at"),
        changed_at=_time(fields, "changed_at"),
        tags=tuple(tags),
        tip=None if fields.get("tip") is None else _id(fields, "tip"),
    )


def _messages(entries: Sequence[Any]) -> list[Message]:
    """Each after the one that it follows."""
    _require(
        len(entries) <= MAX_MESSAGES,
        f"a conversation has {len(entries):,} messages and may have {MAX_MESSAGES:,}; divide it",
    )
    messages: list[Message] = []
    known: set[str | None] = {None}
    for fields in entries:
        _require(isinstance(fields, dict), "a message is no object")
        message = _message(fields)
        _require(message.parent in known, f"message {message.id} follows one that does not stand before it")
        known.add(message.id)
        messages.append(message)
    return messages


def _message(fields: Row) -> Message:
    role, state = fields.get("role"), fields.get("state")
    _require(role in ROLES, f"a message's role is one of {', '.join(ROLES)}")
    _require(state in STATES, f"a message's state is one of {', '.join(STATES)}")
    return Message(
        id=_id(fields, "id"),
        parent=None if fields.get("parent") is None else _id(fields, "parent"),
        role=cast("Role", role),
        text=_text(fields, "text", MAX_TEXT),
        written_at=_time(fields, "written_at"),
        state=cast("State", "stopped" if state == "writing" else state),  # nobody goes on writing it here
        details=_details(fields),
    )


def _details(fields: Row) -> Row:
    """As an answer's reader takes them for granted; what else is in them is anybody's."""
    details = fields.get("details")
    _require(isinstance(details, dict), "a message's details are an object")
    details = cast("Row", details)
    _require(len(json.dumps(details)) <= _MAX_DETAILS_BYTES, "a message's details are too large")
    _require(not _is_deeper(details, _MAX_DEPTH), f"a message's details are over {_MAX_DEPTH} lists and objects deep")
    for name in _LISTS:
        entries = details.get(name, [])
        is_right = isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
        _require(is_right, f"{name} of a message are no list of objects")
    _require(
        all(isinstance(source.get("id"), str) for source in details.get("sources", ())), "a source's id is no text"
    )
    for name in _OBJECTS:
        _require(isinstance(details.get(name, {}), dict), f"{name} of a message is no object")
    return details


def _is_deeper(value: Any, most: int) -> bool:
    """Level by level: whoever shows or redacts it goes as deep as it is."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)


def _list(fields: Row, name: str) -> list[Any]:
    value = fields.get(name)
    _require(isinstance(value, list), f"{name} is no list")
    return cast("list[Any]", value)


def _text(fields: Row, name: str, longest: int) -> str:
    value = fields.get(name)
    _require(isinstance(value, str), f"{name} is no text")
    text = cast("str", value)
    _require(len(text) <= longest, f"{name} has {len(text)} characters and may have {longest}")
    return text


def _id(fields: Row, name: str) -> str:
    value = fields.get(name)
    _require(isinstance(value, str) and _ID.fullmatch(value) is not None, f"{name} is not 32 hexadecimal digits")
    return cast("str", value)


def _time(fields: Row, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(_text(fields, name, 64))
        _require(time.tzinfo is not None, f"{name} has no time zone")
        _require(
            time.year in _YEARS,
            f"{name} is in the year {time.year}, and may be in {_YEARS[0]} to {_YEARS[-1]}; set it right in the file",
        )
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise FaultyDocumentError(f"{name} is no time as 2026-11-22T12:30:00+00:00") from None
