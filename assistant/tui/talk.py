"""A conversation as it is sent: a branch as questions with their answers, and the request for the next one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from assistant.client.answer import MAX_ANSWER_TOKENS
from assistant.history.conversation import Message
from assistant.plaintext import plain
from models.grounding import SYSTEM_PLAIN, note_message

_MOST_ID = 256  # characters, and of one message so many ids, as the API has it
_MOST_IDS = 64
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
        told += _earlier(each, known, with_passages=asked.knowledge != "off")
    if asked.note is not None:
        told.append(("note", note_message(asked.note.text)))
    told.append(("question", {"role": "user", "content": asked.question.text}))
    return told


def _earlier(each: Exchange, known: set[str], *, with_passages: bool) -> list[tuple[str, dict[str, Any]]]:
    if not each.is_told or each.answer is None:
        return []
    asked = ("earlier question", _asked(each, known, with_passages=with_passages))
    answered = ("earlier answer", {"role": "assistant", "content": each.answer.text})
    noted = [] if each.note is None else [("earlier note", note_message(each.note.text))]
    return [*noted, asked, answered]


def _asked(each: Exchange, known: set[str], *, with_passages: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "user", "content": each.question.text}
    new = [name for name in passage_ids(each.answer) if name not in known][:_MOST_IDS]
    known.update(new)
    if new and with_passages:
        message["bedside"] = {"passages": new}
    return message


def passage_ids(answer: Message | None) -> list[str]:
    """Of all passages in the conversation up to an answer, in the order of their numbers.

    What was brought in from elsewhere may hold anything: what is no id that the API takes is left out.
    """
    sources = [] if answer is None else answer.details.get("sources")
    ids = [each.get("id") for each in sources if isinstance(each, dict)] if isinstance(sources, list) else []
    fit = (each for each in ids if isinstance(each, str) and 0 < len(each) <= _MOST_ID and plain(each) == each)
    return list(dict.fromkeys(fit))


def known_ids(shown: Sequence[Exchange]) -> list[list[str]]:
    """For each exchange of a branch, the ids of the passages that the conversation had before it."""
    found: list[list[str]] = []
    known: list[str] = []
    for each in shown:
        found.append(known)
        if each.is_told:
            known = passage_ids(each.answer)
    return found


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


class Texts(Sequence[tuple[str, str]]):
    """Of each message that is sent with one exchange its name and its content, for the places of red flags.

    What comes before is shared by all exchanges of a branch: each with a copy of its own, a long one would take seconds.
    """

    def __init__(self, earlier: Sequence[tuple[str, str]], asked: Exchange) -> None:
        own = [(name, str(message["content"])) for name, message in request_messages((), asked)]
        first = len(own) - (1 if asked.note is None else 2)
        self._own, self._first, self._earlier, self._count = own, first, earlier, len(earlier)

    def __len__(self) -> int:
        return len(self._own) + self._count

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, str]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, str] | list[tuple[str, str]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there is no message {index} among {len(self)}")
        if index < self._first:
            return self._own[index]
        after = index - self._first
        return self._earlier[after] if after < self._count else self._own[index - self._count]


def texts(shown: Sequence[Exchange]) -> list[Texts]:
    """The texts of each exchange of a branch."""
    earlier: list[tuple[str, str]] = []
    found: list[Texts] = []
    for each in shown:
        found.append(Texts(earlier, each))
        earlier += [(name, str(message["content"])) for name, message in _earlier(each, set(), with_passages=False)]
    return found
