"""Conversations as a Markdown page for reading: what was asked and answered, by what, from which sources.

Texts come from people, models and documents. They are written so that they show as they are: nothing in them becomes
a heading, a link, a picture or HTML.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from assistant.history.conversation import Conversation, Message, branch
from assistant.history.details import entries, evidence, made_with, red_flags, source_line, verdicts
from assistant.history.json_form import Found
from assistant.plaintext import plain, plain_line

_ACTIVE = re.compile(r"([\\`*_\[\]<>!|~&@#$])")
_BULLET, _NUMBER = re.compile(r"^([-+=])"), re.compile(r"^(\d+)([.)])")
_ADDRESS, _WWW = re.compile(r"://"), re.compile(r"\b(www)\.", re.IGNORECASE)
_MARK_START, _MARK_END = "\x01", "\x02"  # never in a text: `plain` takes controls away
_MARK = re.compile(f"{_MARK_START}(.*?){_MARK_END}")
_NAMED = (("Model", "model"), ("Notice", "notice"))
_ENDINGS = {"stopped": ", stopped before its end", "failed": ", failed before its end", "writing": ", not yet ended"}


def page(found: Iterable[Found], provenance: Iterable[str]) -> str:
    """The page: where it comes from, and a part for each conversation."""
    parts = ["\n".join(_conversation(conversation, messages)) for conversation, messages in found]
    return "\n\n---\n\n".join(["\n\n".join(map(shown, provenance)), *parts]) + "\n"


def shown(text: str) -> str:
    """A text as Markdown that shows it as it is, line by line."""
    return _lines(plain(text))


def _lines(text: str) -> str:
    """As `shown`, of a text without controls; what stands between marks becomes bold."""
    lines = [_escaped(line.strip()) for line in text.strip().splitlines()]
    broken = [line + "\\" if line and after else line for line, after in pairwise([*lines, ""])]
    return _MARK.sub(r"**\1**", "\n".join(broken))


def _escaped(line: str) -> str:
    line = _ACTIVE.sub(r"\\\1", line)
    line = _NUMBER.sub(r"\1\\\2", _BULLET.sub(r"\\\1", line))
    return _WWW.sub(r"\1\\.", _ADDRESS.sub(r"\\://", line))


def _line(text: object) -> str:
    return _escaped(plain_line(str(text)))


def _conversation(conversation: Conversation, messages: Sequence[Message]) -> Iterator[str]:
    yield f"# {_line(conversation.title) or 'Untitled'}"
    yield ""
    yield f"- Begun: {_minute(conversation.started_at)}; last message: {_minute(conversation.changed_at)}"
    if conversation.tags:
        yield f"- Tags: {_line(', '.join(conversation.tags))}"
    yield f"- Conversation: {conversation.id}"
    followed = branch(messages, conversation.tip)
    if hidden := len(messages) - len(followed):
        yield f"- Messages in other branches, which only the JSON form has: {hidden}"
    for message in followed:
        yield ""
        yield from _question(message) if message.role == "user" else _answer(message)


def _question(message: Message) -> Iterator[str]:
    yield f"## Question, {_minute(message.written_at)}"
    yield ""
    yield shown(message.text)


def _answer(message: Message) -> Iterator[str]:
    details = message.details
    yield f"## Answer, {_minute(message.written_at)}{_ENDINGS.get(message.state, '')}"
    yield ""
    yield _lines(_marked(message))
    if sources := entries(details, "sources"):
        yield ""
        yield "Sources:"
        yield ""
        yield from (f"- {_line(source_line(source))}" for source in sources)
    if facts := list(_facts(message)):
        yield ""
        yield "Provenance:"
        yield ""
        yield from (f"- {label}: {_line(value)}" for label, value in facts)


def _marked(message: Message) -> str:
    """The text with a mark behind each sentence that its source does not support."""
    text = plain(message.text)
    for _, end, verdict in reversed(verdicts(message)):
        place = len(text[:end].rstrip())
        text = f"{text[:place]} {_MARK_START}({plain_line(verdict)}){_MARK_END}{text[place:]}"
    return text


def _facts(message: Message) -> Iterator[tuple[str, str]]:
    for finding in red_flags(message):
        yield "Red flag", finding
    if judged := evidence(message):
        yield "Evidence", judged
    for label, name in _NAMED:
        if message.details.get(name):
            yield label, str(message.details[name])
    yield from made_with(message)


def _minute(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")
