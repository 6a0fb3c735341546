"""What a history is made of: conversations, and messages that form a tree in each; pure values."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, get_args

Role = Literal["user", "assistant"]
State = Literal["writing", "complete", "stopped", "failed"]
ROLES: tuple[Role, ...] = get_args(Role)
STATES: tuple[State, ...] = get_args(State)

MAX_TITLE, MAX_TAG, MAX_TAGS = 1000, 200, 100
"""Characters of a title and of a tag, and tags of a conversation: as they are written, and as they are brought in."""
MAX_MESSAGES, MAX_TEXT = 5000, 1 << 20
"""Messages of a conversation, since a terminal has to show it, and characters of a message: in the same way."""
MAX_DAYS = 36_500
"""The longest age that is asked for: a hundred years."""


@dataclass(frozen=True)
class Message:
    """A question or an answer. Siblings, messages with the same parent, are branches of the conversation."""

    id: str
    parent: str | None
    """The message that it follows; None at the start."""
    role: Role
    text: str
    written_at: datetime
    """Aware, UTC."""
    state: State
    """A question is complete; an answer is being written until it ends."""
    details: dict[str, Any] = field(default_factory=dict)
    """JSON values that came with it: an answer's model, sources, checks, red flags, usage; a question's passages."""


@dataclass(frozen=True)
class Conversation:
    """What a list of conversations shows of one."""

    id: str
    title: str
    started_at: datetime
    changed_at: datetime
    """When its newest message was written."""
    tags: tuple[str, ...] = ()
    tip: str | None = None
    """The message at the end of the branch that is shown; None where there is no message."""


@dataclass(frozen=True)
class Hit:
    """A message, or a title, that a search found."""

    conversation: Conversation
    message_id: str
    """The message; where the title was found, the end of the branch that is shown (empty without messages)."""
    snippet: str
    marked: tuple[tuple[int, int], ...]
    """Where in the snippet the words stand that were searched for: start and end of each, end exclusive."""


def new_id() -> str:
    """An identifier that no other message or conversation has."""
    return uuid.uuid4().hex


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(timezone.utc)


def local(time: datetime) -> datetime:
    """The time in this machine's time zone; as it is where the zone has no such time (the first and the last day of all)."""
    try:
        return time.astimezone()
    except (OverflowError, ValueError, OSError):
        return time


def counted(conversations: int) -> str:
    """So many conversations, in words."""
    return f"{conversations:,} conversation{'' if conversations == 1 else 's'}"


def branch(messages: Sequence[Message], tip: str | None) -> list[Message]:
    """The messages from the start to `tip`, in their order; those of other branches are left out."""
    by_id = {message.id: message for message in messages}
    found: list[Message] = []
    while tip is not None and tip in by_id:
        found.append(by_id.pop(tip))
        tip = found[-1].parent
    return found[::-1]
