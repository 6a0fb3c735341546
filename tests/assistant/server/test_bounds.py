"""Texts that cannot fit are refused before they are tokenized or searched, and work for a client who has left is given up."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from fastapi import Request as HttpRequest
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from assistant.server.door import Door, DoorRules
from assistant.server.errors import ApiError
from assistant.server.gate import Gate
from assistant.server.grounding import Grounded, Libraries, Room, Turns, ground
from assistant.server.preparing import GoOn, Preparing
from assistant.server.service import Activity
from assistant.server.wire import Message
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import Served

CHAT = "/v1/chat/completions"
ON = {"knowledge": "on", "overflow": "drop_oldest"}
LONG = "cough " * 80_000


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        (CHAT, {"messages": [{"role": "user", "content": LONG}], "bedside": ON}, "480000 characters"),
        (CHAT, {"messages": [{"role": "user", "content": LONG}] * 3, "bedside": ON}, "1440000 characters"),
        (CHAT, {"messages": [{"role": "user", "content": LONG}]}, "480000 characters"),
        ("/v1/completions", {"prompt": LONG}, "480000 characters"),
        ("/v1/completions", {"prompt": ["cough", "<|user|>" * 100_000]}, "800000 characters"),
        ("/v1/completions", {"prompt": "<|user|>" * 8000}, "more control tokens"),
        ("/tokenize", {"prompt": "<|user|>" * 8000}, "more control tokens"),
        ("/tokenize", {"messages": [{"role": "user", "content": LONG}]}, "480000 characters"),
    ],
)
def test_what_surely_does_not_fit_is_not_tokenized(served: Served, path: str, body: dict[str, Any], why: str) -> None:
    with served.local() as client:
        found = client.post(path, json=body)
    assert (found.status_code, found.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert why in found.json()["error"]["message"]


def test_an_oversized_turn_is_dropped_for_the_question_behind_it(served: Served) -> None:
    turns = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "x"}]
    body = {"messages": [*turns, {"role": "user", "content": "How is croup treated?"}], "bedside": ON, "max_tokens": 2}
    with served.local() as client:
        found = client.post(CHAT, json=body).json()
    assert found["bedside"]["dropped_messages"] == 2
    assert found["bedside"]["sources"][0]["title"].startswith("Croup")


def test_of_a_long_earlier_turn_the_ends_count() -> None:
    filler, middle = "and " * 2000, "anaphylaxis and adrenaline"
    turn = f"How is croup treated? {filler} {middle} {filler} Thank you."
    long, without, short = (
        Libraries().search(("starter",), "And in adults?", 4, earlier=[said])
        for said in (turn, turn.replace(middle, ""), turn.replace(filler, ""))
    )
    assert long == without != short


def test_passages_leave_room_for_the_answer(served: Served) -> None:
    with served.local() as client:
        room = client.get("/tokenizer_info").json()["model_max_length"]
        note = "He coughs at night. "
        while client.post("/tokenize", json={"prompt": note}).json()["count"] < room * 0.6:
            note += "He coughs at night and has a fever. "
        messages = [{"role": "user", "content": note}, {"role": "user", "content": "How is croup treated?"}]
        body = {"messages": messages, "bedside": {"knowledge": "on"}, "max_tokens": room // 4}
        found = client.post(CHAT, json=body).json()
    assert found["bedside"]["sources"]
    assert room * 0.6 < found["usage"]["prompt_tokens"] <= room - room // 4


def test_a_long_question_is_searched_for_at_its_ends() -> None:
    libraries, filler = Libraries(), "and " * 2000
    croup = libraries.search(("starter",), "How is croup treated?", 1)
    assert libraries.search(("starter",), f"{filler} How is croup treated?", 1)[0].passage == croup[0].passage
    assert libraries.search(("starter",), f"How is croup treated? {filler}", 1)[0].passage == croup[0].passage
    assert not libraries.search(("starter",), f"{filler} croup {filler}", 1)
    assert libraries.search(("starter",), "asthma " * 9000, 1)[0].passage.title.startswith("Acute severe asthma")
    assert not libraries.search(("starter",), "x" * 9000, 1)


def test_a_prompt_that_is_being_counted_keeps_no_search_waiting() -> None:
    libraries, counting, found = Libraries(), threading.Event(), threading.Event()

    def count(_: Turns) -> int:
        counting.set()
        assert found.wait(60)
        return 1

    def find(*wanted: Any) -> Any:
        return libraries.search(("starter",), *wanted)

    question = Message(role="user", content="How is croup treated?")
    asking = threading.Thread(
        target=ground, args=(libraries.index(("starter",)), find, [question], count, Room(500, 500))
    )
    asking.start()
    assert counting.wait(60)
    assert libraries.search(("starter",), "What is asthma?", 1)
    found.set()
    asking.join()


def test_what_is_read_soon_is_counted_from_the_bare_question() -> None:
    libraries = Libraries()
    question = Message(role="user", content="How is croup treated in a child with stridor at rest?")

    def grounded(new: int) -> Grounded:
        def find(text: str, _: int, *rest: Any) -> Any:
            return libraries.search(("starter",), text, 2, *rest)

        return ground(libraries.index(("starter",)), find, [question], characters, Room(100_000, new))

    both = grounded(100_000)
    assert len(both.sources) == 2
    _, passages, _ = both.turns  # between system message and question
    new = characters([passages])
    assert [len(grounded(most).sources) for most in (new, new - 1)] == [2, 1]


def characters(turns: Turns) -> int:
    return sum(len(turn["content"]) for turn in turns)


def leaving(left: asyncio.Event) -> HttpRequest:
    async def receive() -> AsgiMessage:
        await left.wait()
        return {"type": "http.disconnect"}

    return HttpRequest({"type": "http"}, receive)


def test_work_for_a_client_who_has_left_is_given_up_before_the_model_is_closed() -> None:
    begun, proceed, ended = threading.Event(), threading.Event(), threading.Event()
    preparing = Preparing()

    def work(go_on: GoOn) -> None:
        begun.set()
        assert proceed.wait(60)
        try:
            go_on()
        except ApiError:
            ended.set()

    async def ask() -> None:
        left = asyncio.Event()
        asking = asyncio.create_task(preparing.run(leaving(left), work))
        await asyncio.to_thread(begun.wait, 60)
        left.set()
        with pytest.raises(ApiError) as refusal:
            await asking
        assert refusal.value.status == 499

    asyncio.run(ask())
    proceed.set()
    assert preparing.close(60)
    assert ended.is_set()


ENDLESS = """
import asyncio, threading
from assistant.server.preparing import Preparing
from tests.assistant.server.test_bounds import leaving

async def ask(preparing):
    begun, left = threading.Event(), asyncio.Event()
    asking = asyncio.create_task(preparing.run(leaving(left), lambda go_on: begun.set() or threading.Event().wait()))
    waiting = [asyncio.create_task(preparing.run(leaving(left), lambda go_on: None)) for _ in range(4)]
    await asyncio.to_thread(begun.wait)
    await asyncio.gather(*waiting)
    left.set()
    await asyncio.gather(asking, return_exceptions=True)

preparing = Preparing()
asyncio.run(ask(preparing))
print(preparing.close(0.1))
"""


def test_work_that_cannot_be_told_to_stop_keeps_no_process_from_its_end() -> None:
    command = [sys.executable, *IGNORED, "-c", ENDLESS]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "False\n", "")


def test_a_request_that_the_end_cuts_off_is_told_so() -> None:
    sent: list[AsgiMessage] = []

    async def endless(_: Scope, __: Receive, ___: Send) -> None:
        raise asyncio.CancelledError

    async def receive() -> AsgiMessage:
        return {"type": "http.request"}

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    door = Door(endless, DoorRules(), Activity(), Gate())
    asyncio.run(door({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send))
    assert sent[0]["status"] == 503
    assert b"shutting down" in sent[1]["body"]
