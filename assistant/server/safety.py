"""What is looked at in a conversation before a model is: red flags in what its user says, and what is refused."""

from collections.abc import Sequence
from typing import Any

from assistant.safety.contacts import Contact
from assistant.safety.fields import red_flag_fields
from assistant.safety.refusal import refused
from assistant.safety.screen import screen
from assistant.server.wire import Message


def red_flags(messages: Sequence[Message], contacts: Sequence[Contact]) -> dict[str, Any]:
    """The `red_flags` object over all user messages, notes among them. Passages are never part of them."""
    asked = [number for number, message in enumerate(messages) if message.role == "user"]
    return red_flag_fields(screen([messages[number].turn["content"] for number in asked], contacts), asked)


def is_refused(messages: Sequence[Message]) -> bool:
    """Whether the last message asks for the means to harm somebody; a note before it is somebody else's text."""
    last = messages[-1]
    return last.role == "user" and refused(last.turn["content"]) is not None
