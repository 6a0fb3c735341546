"""Grounded conversations: passages from the libraries in turns of their own, and the checks of the answer as it grows.

Passages are numbered by their first appearance in the conversation, and stand before the user's turn that they were found
for. A client sends the ids of those that earlier turns were given, so that their text never moves and is not read again.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.engine.packing import fit_passages
from assistant.engine.request import FinishReason
from assistant.errors import PromptTooLongError
from assistant.knowledge.citations import AnswerChecks, Check
from assistant.knowledge.evidence import Evidence, evidence_of_answer, evidence_of_passages
from assistant.knowledge.index import Index
from assistant.knowledge.installed import Names, Shelf, T
from assistant.knowledge.library import LibraryPassage, source_fields
from assistant.knowledge.search import Hit, search
from assistant.plaintext import Trimmer, plain
from assistant.server.errors import ApiError
from assistant.server.wire import Message
from models.grounding import SYSTEM_UNTRUSTED, note_text, render_passages

MAX_PASSAGES = 4
PREFILL_S = 10.0
"""About so long a person waits for the passages to be read."""
_SEARCHED_CHARACTERS = 4096
"""Of a question or a note, from its two ends: what is asked stands there, and each word costs a look-up."""
Turns = list[dict[str, str]]
Find = Callable[[str, int, str | None, tuple[str, ...]], Sequence[Hit]]
"""Question, most passages, note, earlier questions (oldest first): the passages that fit best."""


class Libraries:
    """The passage libraries as they are now: one that is added, changed or removed is seen; one search at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shelf = Shelf()

    def index(self, names: Names) -> Index:
        """One index over the libraries. Raises LibraryError."""
        return self._shelf.index(names)

    def reading(self, names: Names, work: Callable[[], T]) -> T:
        """`work`, which reads these libraries, without those of all that are damaged. Raises LibraryError."""
        return self._shelf.reading(names, work)

    def search(
        self, names: Names, question: str, limit: int, note: str | None = None, earlier: Sequence[str] = ()
    ) -> tuple[Hit, ...]:
        """The passages that fit the question best. Raises LibraryError."""
        with self._lock:
            before = [_ends(turn) for turn in earlier]
            return search(self._shelf.index(names), _ends(question), limit, note and _ends(note), before)


def library_names(knowledge: str | Sequence[str]) -> Names:
    """`on` (every library that can be read), `off` or a list of ids, as names."""
    if isinstance(knowledge, str):
        return None if knowledge == "on" else ()
    return tuple(knowledge)


@dataclass(frozen=True)
class Grounded:
    """A conversation as the model is asked with it, and all passages in it, numbered from 1."""

    turns: Turns
    sources: tuple[LibraryPassage, ...]


@dataclass(frozen=True)
class Room:
    """Tokens that passages may take."""

    most: int
    """Of the whole prompt."""
    new: int
    """Of the new passages, unless there is one only: what this board reads in `PREFILL_S`."""


def ground(
    index: Index, find: Find, messages: Sequence[Message], count_tokens: Callable[[Turns], int], room: Room
) -> Grounded:
    """Insert the passages of earlier turns and those that `find` has for the last one, as many as there is room for.

    Raises ApiError for a passage id that the library does not have, PromptTooLongError where none fits.
    """
    if messages[-1].role != "user":
        raise ApiError(400, "messages: with knowledge the last one is the user's question", "invalid_value", "messages")
    sources: list[LibraryPassage] = []
    has_system = any(message.turn["role"] == "system" for message in messages)
    turns: Turns = [] if has_system else [_turn("system", SYSTEM_UNTRUSTED)]
    run = len(messages) - 1
    while run and messages[run - 1].role == "user":
        run -= 1  # a note before the question belongs to it
    for message in messages[:run]:
        _insert(turns, sources, [_known(index, name) for name in message.passages])
        turns.append(message.turn)
    last = [message.turn for message in messages[run:]]
    given = [_known(index, name) for message in messages[run:] for name in message.passages]
    found = given or _found(find, last, [message.turn for message in messages[:run]])
    new = [passage for passage in dict.fromkeys(found) if passage not in sources]

    def whole(some: Sequence[LibraryPassage]) -> Turns:
        with_some, numbered = list(turns), list(sources)
        _insert(with_some, numbered, some)
        return with_some + last

    # One look first: where there is no room at all, no sentence of a passage need be tried.
    bare_tokens = count_tokens(whole(())) if new else 0
    has_room = bool(new) and bare_tokens < room.most
    soon = bare_tokens + room.new
    packed = fit_passages(new, lambda some: count_tokens(whole(some)), room.most, soon) if has_room else []
    if new and not packed and not sources:
        raise PromptTooLongError(
            f"question and note leave no room for a passage in {room.most} tokens of prompt; shorten them"
        )
    return Grounded(whole(packed), (*sources, *packed))


def _found(find: Find, last: Turns, before: Turns) -> list[LibraryPassage]:
    """The passages for the last question, which is read with the person's earlier ones; notes are of the same patient."""
    said = [turn["content"] for turn in before if turn["role"] == "user"]
    earlier = tuple(text for text in said if note_text(text) == text)
    notes = [*(text for text in said if note_text(text) != text), *(turn["content"] for turn in last[:-1])]
    note = "\n".join(map(note_text, notes)) or None
    return [hit.passage for hit in find(last[-1]["content"], MAX_PASSAGES, note, earlier)]


def _ends(text: str) -> str:
    """Without the two words that are cut there: half of one is rarer than any, and would be what the text is about."""
    if len(text) <= _SEARCHED_CHARACTERS:
        return text
    half = _SEARCHED_CHARACTERS // 2
    before, after = text[:half].rsplit(maxsplit=1), text[-half:].split(maxsplit=1)
    return "\n".join([*before[:-1], *after[1:]])


def _insert(turns: Turns, sources: list[LibraryPassage], passages: Sequence[LibraryPassage]) -> None:
    new = [passage for passage in dict.fromkeys(passages) if passage not in sources]
    if new:
        turns.append(_turn("user", render_passages([passage.grounding for passage in new], len(sources) + 1)))
        sources += new


def _known(index: Index, name: str) -> LibraryPassage:
    if (passage := index.passage(name)) is None:
        raise ApiError(
            400, "messages: a passage id is not in the library; ask afresh without it", "unknown_passage", "messages"
        )
    return passage


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


class GroundedText:
    """The answer's text as it is shown, trimmed and without control characters, and its checks so far."""

    def __init__(self, sources: Sequence[LibraryPassage], question: str) -> None:
        passages = [source.grounding for source in sources]
        self.sources, self.text, self._question = tuple(sources), "", question
        self.checks: list[Check] = []
        self.found = evidence_of_passages(question, passages)
        """What the passages promise, before there is an answer."""
        self._trimmer, self._unchecked = Trimmer(), AnswerChecks(passages)

    def push(self, piece: str) -> str:
        """What of the piece can be shown now."""
        shown = self._trimmer.push(plain(piece))
        self.text += shown
        return shown

    def new_checks(self, *, ended: bool = False) -> list[Check]:
        """Checks of sentences that have come to their end since the last call: what follows is no mark of theirs."""
        new = self._unchecked.new(self.text, ended=ended)
        self.checks += new
        return new

    def evidence(self, end: FinishReason) -> Evidence:
        """What the finished answer rests on."""
        return evidence_of_answer(self.found, self._question, self.text, self.checks, in_circles=end == "repetition")


def first_fields(red_flags: dict[str, Any], sources: Sequence[LibraryPassage], evidence: Evidence) -> dict[str, Any]:
    """What a client is told before the prompt is read."""
    return {
        "red_flags": red_flags,
        "evidence": evidence,
        "sources": [source_fields(number, source) for number, source in enumerate(sources, start=1)],
    }
