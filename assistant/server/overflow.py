"""A conversation that has outgrown the context, without its oldest turns."""

import bisect
from collections.abc import Callable, Sequence

from assistant.server.wire import Message

Messages = Sequence[Message]


def drop_oldest(messages: Messages, fits: Callable[[Messages], bool]) -> Messages:
    """As many of the last turns as fit, from a user's turn on, and every system message.

    The last question stays, with the notes right before it. `messages` itself where they fit, or where nothing does.
    """
    starts = [
        place
        for place, message in enumerate(messages)
        if message.role == "user" and (place == 0 or messages[place - 1].role != "user")
    ]

    def rest(start: int) -> Messages:
        systems = [message for message in messages[:start] if message.turn["role"] == "system"]
        return [*systems, *messages[start:]]

    if not starts or fits(messages):
        return messages
    place = bisect.bisect_left(starts, True, key=lambda start: fits(rest(start)))
    return messages if place == len(starts) else rest(starts[place])
