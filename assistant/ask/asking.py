"""The course of one question: a server, its sources, text as it comes, checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from assistant.ask.answer import MAX_ANSWER_TOKENS, Answer, Versions
from assistant.client.connection import Connection
from assistant.client.finding import connect
from assistant.errors import ServerError
from assistant.knowledge.citations import Check
from assistant.knowledge.evidence import Evidence
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import Trimmer, plain
from assistant.safety.views import Line, finding_lines, status
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
        except (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise ServerError(f"what answers at {connection.where} is no Bedside server; check the address") from error


def _events(
    question: Question, connection: Connection, say: Callable[[str], None]
) -> Iterator[Flagged | Piece | Answer]:
    told, trimmer = _Told(), Trimmer()
    flagged = False
    try:
        for text in told.texts(connection.chat(question.body), say):
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


@dataclass
class _Told:
    """What the server says besides text, field by field."""

    text: str = ""
    model: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    refused: bool = False

    def texts(self, chunks: Iterable[Mapping[str, Any]], say: Callable[[str], None]) -> Iterator[str]:
        """The answer's text in pieces, the first empty; nothing in it that a terminal could take for a command."""
        for chunk in chunks:
            self.model = str(chunk["model"])
            self.usage = dict(chunk.get("usage") or self.usage)
            extras = dict(chunk.get("bedside", {}))
            self.checks += [_check(each) for each in extras.pop("checks", [])]
            if (queue := extras.pop("queue", None)) is not None and queue["before"]:
                say(f"waiting for {queue['before']} other questions")
            if (progress := extras.pop("prompt", None)) is not None:
                say(f"reading {progress['total']} tokens, {progress['done'] / progress['total']:.0%} done")
            self.fields |= extras
            for choice in chunk["choices"]:
                self.refused |= choice["finish_reason"] == "content_filter"
                if (content := choice["delta"].get("content")) is not None:
                    yield plain(content)

    def answer(self) -> Answer:
        """All of it."""
        sources = tuple(_source(each) for each in self.fields["sources"])
        notice, evidence = self.fields["notice"], self.fields["evidence"]
        flags, checks = self.fields["red_flags"], tuple(self.checks)
        if evidence not in get_args(Evidence) or not isinstance(notice, str | None) or "bedside" not in self.usage:
            raise ValueError("fields of another kind of server")
        status(flags)  # raises where a field of theirs is missing
        versions = _versions(self.fields["versions"])
        return Answer(
            self.text, sources, evidence, checks, flags, self.usage, self.model, notice, versions, refused=self.refused
        )


def _versions(content: Mapping[str, Any]) -> Versions:
    libraries = {str(name): str(version) for name, version in content["libraries"].items()}
    return Versions(str(content["bedside"]), str(content["model_sha256"]), libraries)


def _check(content: Mapping[str, Any]) -> Check:
    return Check(**{**content, "cites": tuple(content["cites"]), "reasons": tuple(content["reasons"])})


def _source(content: Mapping[str, Any]) -> LibraryPassage:
    return LibraryPassage(**{each.name: str(content[each.name]) for each in fields(LibraryPassage)})
