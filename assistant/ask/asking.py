"""The course of one question: a server, its sources, text as it comes, checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assistant.client.answer import MAX_ANSWER_TOKENS, Answer
from assistant.client.answering import Told
from assistant.client.connection import Connection
from assistant.client.fields import FAULTS
from assistant.client.finding import connect
from assistant.client.wording import progress
from assistant.errors import ServerError
from assistant.plaintext import Trimmer
from assistant.safety.views import Line, finding_lines
from models.grounding import SYSTEM_PLAIN, note_message


@dataclass(frozen=True)
class Piece:
    """The next piece of the answer's text; joined they are the answer."""

    text: str


@dataclass(frozen=True)
class Flagged:
    """What the red-flag screen found, as lines to show above the answer; none where it found nothing."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Question:
    """What is asked, of which server and model; `knowledge` is `on`, `off` or a library's name."""

    text: str
    knowledge: str = "on"
    note: str | None = None
    model: str | None = None
    url: str | None = None

    @property
    def messages(self) -> list[tuple[str, dict[str, str]]]:
        """The conversation, each message with what it is to the asker; instructions where the server adds none."""
        system = {"role": "system", "content": SYSTEM_PLAIN}
        return [
            *([("instructions", system)] if self.knowledge == "off" else []),
            *([("note", note_message(self.note))] if self.note else []),
            ("question", {"role": "user", "content": self.text}),
        ]

    def flagged(self, red_flags: Mapping[str, Any]) -> Flagged:
        """The server's `red_flags` object in words of this question."""
        return Flagged(tuple(finding_lines(red_flags, [(name, message["content"]) for name, message in self.messages])))

    @property
    def body(self) -> dict[str, Any]:
        """As the API takes it."""
        return {
            "messages": [message for _, message in self.messages],
            "max_tokens": MAX_ANSWER_TOKENS,
            "end_repetition": True,
            "stream_options": {"include_usage": True, "include_progress": True},
            "bedside": {"knowledge": self.knowledge if self.knowledge in ("on", "off") else [self.knowledge]},
        }


def ask_server(question: Question, say: Callable[[str], None]) -> Iterator[Flagged | Piece | Answer]:
    """Red flags before anything is read, then pieces as they come; the answer last. `say` hears what is waited for.

    Raises BedsideError. Closing the iterator ends the work on the server.
    """
    with connect(question.url, question.model, say) as connection:
        try:
            yield from _events(question, connection, say)
        except FAULTS as error:
            raise ServerError(f"what answers at {connection.where} is no Bedside server; check the address") from error


def _events(
    question: Question, connection: Connection, say: Callable[[str], None]
) -> Iterator[Flagged | Piece | Answer]:
    told, trimmer = Told(), Trimmer()
    flagged = False
    try:
        for text in _texts(told, connection.chat(question.body), say):
            if not flagged:
                yield question.flagged(told.fields["red_flags"])
                flagged = True
            if piece := trimmer.push(text):
                told.text += piece
                yield Piece(piece)
    except ServerError as error:
        if error.red_flags is not None and not flagged:  # what is too long to be answered was screened all the same
            yield question.flagged(error.red_flags)
        raise
    yield told.answer()


def _texts(told: Told, chunks: Iterable[Mapping[str, Any]], say: Callable[[str], None]) -> Iterator[str]:
    """The answer's text in pieces, the first empty; what is waited for is said as it changes."""
    for chunk in chunks:
        before = told.waiting, told.read
        piece = told.take(chunk)
        if (told.waiting, told.read) != before and (doing := progress(told)):
            say(doing)
        if piece is not None:
            yield piece
