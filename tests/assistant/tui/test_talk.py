"""Conversations as they are sent: whatever a history holds, and however long it is."""

import asyncio
import time
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.history.conversation import Message
from assistant.history.store import History
from assistant.safety.views import finding_lines
from assistant.server.wire import ChatRequest
from assistant.tui.link import Link
from assistant.tui.session import Session
from assistant.tui.talk import Exchange, exchanges, known_ids, passage_ids, request, request_messages, texts
from benchmarks.scripted_server import USAGE, first

AT = datetime(2030, 1, 2, 3, 4, tzinfo=timezone.utc)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=300),
    lambda inner: st.lists(inner, max_size=70) | st.dictionaries(st.sampled_from(["id", "n"]), inner, max_size=2),
    max_leaves=8,
)


def asked(number: int, parent: str | None, **details: Any) -> list[Message]:
    """A question with its answer."""
    question = Message(f"q{number}", parent, "user", f"question {number}", AT, "complete", {"knowledge": "on"})
    return [question, Message(f"a{number}", question.id, "assistant", f"answer {number}", AT, "complete", details)]


@given(JSON)
@example([{"id": "x" * 257}, {"id": ""}, {"id": "\x1b[2J"}, {"id": "\ud800"}, {"id": "good"}])
@example([{"id": f"p{number}"} for number in range(100)])
def test_details_from_anywhere_are_neither_trusted_nor_sent(sources: Any) -> None:
    begun = exchanges(asked(1, None, sources=sources, model="m"))
    second = exchanges(asked(2, "a1"))[0]
    ChatRequest.model_validate(request(begun, second))
    assert len(texts([*begun, second])[1]) == 3
    known = known_ids([*begun, second])[1]
    given = [each.get("id") for each in sources if isinstance(each, dict)] if isinstance(sources, list) else []
    assert all(name in given for name in known)


def test_only_ids_that_the_api_takes_are_sent() -> None:
    details = {"sources": [7, {}, {"id": 7}, {"id": "one"}, {"id": "one"}, {"id": "\u202eevil"}, {"id": "two"}]}
    answer = asked(1, None, **details)[1]
    assert passage_ids(answer) == ["one", "two"]


def test_each_exchange_has_the_texts_that_are_sent_with_it() -> None:
    shown: list[Exchange] = []
    for number, knowledge in enumerate(["on", "off", "on", "off"]):
        question, answer = asked(number, None)
        question.details["knowledge"] = knowledge
        note = Message(f"n{number}", None, "user", f"note {number}", AT, "complete", {"kind": "note"})
        shown.append(Exchange(question, note if number % 3 == 0 else None, answer if number != 2 else None))
    for place, found in enumerate(texts(shown)):
        sent = request_messages(shown[:place], shown[place])
        assert list(found) == found[:] == [(name, message["content"]) for name, message in sent]
        for outside in (-1, len(found)):
            with pytest.raises(IndexError):
                found[outside]


class Unseen:
    """A view that nobody looks at."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def opened(count: int) -> tuple[float, Session]:
    """How long it takes to open a conversation of so many exchanges, with a red flag in each, to its end."""
    flag = {
        "rule": "r", "severity": "urgent", "meaning": "m", "source": "s", "contacts": None,
        "places": [{"message": 0, "start": 0, "end": 8}],
    }  # fmt: skip
    flags = {"screened": True, "reason": None, "rules": "1", "findings": [flag]}
    whole = {**first()["bedside"], "model": "m", "usage": USAGE}
    messages: list[Message] = []
    for number in range(count):
        messages += asked(number, messages[-1].id if messages else None, **{**whole, "red_flags": flags})

    def fill(history: History) -> str:
        begun = history.start("long")
        for message in messages:
            history.add(begun.id, message)
        return begun.id

    async def run() -> tuple[float, Session]:
        unseen: Any = Unseen()
        session = Session(Link(None, None), "on", unseen)
        name = await session.book.keeper.call(fill)
        conversation = await session.book.keeper.call(lambda history: history.conversation(name))
        start = time.monotonic()
        await session.open(conversation)
        for turn in session.turns:
            assert session.versions(turn) == (1, 1)
            for line in finding_lines(turn.told.fields["red_flags"], turn.texts):
                assert line.text
        took_s = time.monotonic() - start
        session.book.keeper.close()
        return took_s, session

    return asyncio.run(run())


def test_a_conversation_of_thousands_of_messages_opens_in_time() -> None:
    short_s, _ = opened(250)
    long_s, session = opened(2500)
    assert [turn.text for turn in session.turns] == [f"answer {number}" for number in range(2500)]
    assert long_s < 30 * max(short_s, 0.05)  # ten times as many; were each compared with all, it would be a hundred
