"""What is looked at in a conversation before a model is: red flags in what its user says, and what is refused."""

from collections.abc import Sequence
from typing import Any

from assistant.safety.contacts import Contact
from assistant.safety.fields import red_flag_fields
from assistant.safety.refusal import refused
from assistant.safety.screen import screen
from assistant.server.wire import Message

_MOST_CHARACTERS = 2**18
"""Four times what a context of 16,384 tokens holds; each hundred thousand take a quarter of a second."""
_TOO_LONG = f"older text than the last {_MOST_CHARACTERS:,} characters was left out"


def red_flags(messages: Sequence[Message], contacts: Sequence[Contact]) -> dict[str, Any]:
    """The `red_flags` object over all user messages, notes among them. Passages are never part of them.

    Of more text than `_MOST_CHARACTERS` the latest messages are screened, and `reason` says so.
    """
    asked = [number for number, message in enumerate(messages) if message.role == "user"]
    texts, left = {}, _MOST_CHARACTERS
    for number in reversed(asked):
        whole = messages[number].turn["content"]
        texts[number] = whole[:left]  # from its beginning, so that places in it stay what they are
        left -= len(texts[number])
    fields = red_flag_fields(screen([texts[number] for number in asked], contacts), asked)
    if left == 0:
        fields |= {"screened": False, "reason": "; ".join(filter(None, (fields["reason"], _TOO_LONG)))}
    return fields


def refusal(messages: Sequence[Message]) -> str | None:
    """The fixed answer where the last message asks for the means to harm somebody; a note before it is somebody else's text."""
    last = messages[-1]
    return refused(last.turn["content"]) if last.role == "user" else None
