"""A conversation as it is sent: a branch as questions with their answers, and the request for the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.client.answer import MAX_ANSWER_TOKENS
from assistant.history.conversation import Message
from models.grounding import SYSTEM_PLAIN, note_message

Knowledge = str
"""`on`, `off` or a library's name."""


@dataclass(frozen=True)
class Exchange:
    """A question, the patient's note that came with it, and its answer so far."""

    question: Message
    note: Message | None = None
    answer: Message | None = None

    @property
    def first(self) -> Message:
        """What it begins with; its parent is what it follows."""
        return self.note or self.question

    @property
    def last(self) -> Message:
        """What the next exchange follows."""
        return self.answer or self.question

    @property
    def knowledge(self) -> Knowledge:
        """What it was asked with."""
        return str(self.question.details.get("knowledge", "on"))

    @property
    def is_told(self) -> bool:
        """Whether later questions are asked with it: what has no answer at all would read as part of the next one."""
        return self.answer is not None and bool(self.answer.text)


def exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """A branch as questions and answers."""
    found: list[Exchange] = []
    note: Message | None = None
    for message in messages:
        if message.role == "assistant":
            if found:
                found[-1] = Exchange(found[-1].question, found[-1].note, message)
        elif message.details.get("kind") == "note":
            note = message
        else:
            found.append(Exchange(message, note))
            note = None
    return found


def request_messages(before: Sequence[Exchange], asked: Exchange) -> list[tuple[str, dict[str, Any]]]:
    """What is sent, each message with what it is to the reader. Earlier questions name the passages that they were given."""
    told: list[tuple[str, dict[str, Any]]] = []
    if asked.knowledge == "off":
        told.append(("instructions", {"role": "system", "content": SYSTEM_PLAIN}))
    known: set[str] = set()
    for each in before:
        if not each.is_told or each.answer is None:
            continue
        if each.note is not None:
            told.append(("earlier note", note_message(each.note.text)))
        told.append(("earlier question", _asked(each, known, with_passages=asked.knowledge != "off")))
        told.append(("earlier answer", {"role": "assistant", "content": each.answer.text}))
    if asked.note is not None:
        told.append(("note", note_message(asked.note.text)))
    told.append(("question", {"role": "user", "content": asked.question.text}))
    return told


def _asked(each: Exchange, known: set[str], *, with_passages: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "user", "content": each.question.text}
    new = [name for name in passage_ids(each.answer) if name not in known]
    known.update(new)
    if new and with_passages:
        message["bedside"] = {"passages": new}
    return message


def passage_ids(answer: Message | None) -> list[str]:
    """Of all passages in the conversation up to an answer, in the order of their numbers."""
    return [] if answer is None else [str(source["id"]) for source in answer.details.get("sources", ())]


def request(before: Sequence[Exchange], asked: Exchange) -> Mapping[str, Any]:
    """The body, as the API takes it."""
    knowledge = asked.knowledge
    return {
        "messages": [message for _, message in request_messages(before, asked)],
        "max_tokens": MAX_ANSWER_TOKENS,
        "end_repetition": True,
        "stream_options": {"include_usage": True, "include_progress": True},
        "bedside": {
            "knowledge": knowledge if knowledge in ("on", "off") else [knowledge],
            "overflow": "drop_oldest",
        },
    }


def texts(before: Sequence[Exchange], asked: Exchange) -> list[tuple[str, str]]:
    """Of each message that is sent its name and its content, for the places of red flags."""
    return [(name, str(message["content"])) for name, message in request_messages(before, asked)]
