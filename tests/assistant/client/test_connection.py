"""What a client makes of servers that are slow, broken, or no Bedside at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from assistant.ask.asking import Question, ask_server
from assistant.client.answer import Answer
from assistant.client.connection import Connection
from assistant.client.finding import connect
from assistant.errors import ServerError
from benchmarks.scripted_server import USAGE
from tests.local_server import serve_locally

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Respond) -> Iterator[str]:
    """A server whose every answer is written by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with serve_locally(Handler, threading.Event()) as url:
        yield url


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.end_headers()
    handler.wfile.write(body)


def streams(*chunks: Any) -> Respond:
    """Every path answers 200 with these chunks, and the closing line."""
    lines = [f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks]
    return lambda handler: send(handler, "".join([*lines, "data: [DONE]\n\n"]).encode())


def test_chunks_are_read_however_their_lines_end() -> None:
    with serving(streams({"a": 1}, {"b": "\u2028"})) as url, Connection(url) as connection:
        assert list(connection.chat({})) == [{"a": 1}, {"b": "\u2028"}]


def test_a_line_without_end_is_not_gathered() -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        send(handler, b"data: ")
        try:
            while sent < 64 * 2**20:
                sent += handler.wfile.write(b"x" * 2**16)
        except OSError:  # the client has had enough
            return

    with serving(endless) as url, Connection(url) as connection:
        with pytest.raises(ServerError, match="is no Bedside server"):
            list(connection.chat({}))
        connection.close()
    assert 8 * 2**20 < sent < 32 * 2**20


CHOICE: dict[str, Any] = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
FLAGS: dict[str, Any] = {"screened": True, "reason": None, "rules": "2026-11", "findings": []}
FIELDS: dict[str, Any] = {
    "sources": [], "evidence": "insufficient", "notice": None, "retrieval": {}, "red_flags": FLAGS,
    "versions": {"bedside": "1.0", "model_sha256": "5b", "libraries": {}, "left_out": {}},
}  # fmt: skip


CHECK: dict[str, Any] = {"start": 0, "end": 1, "cites": [1], "by": "model", "status": "supported", "reasons": []}


def last(usage: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [CHOICE], "bedside": {**FIELDS, **fields}, "usage": usage}


@pytest.mark.parametrize(
    "chunk",
    [
        [],
        {"model": "m", "choices": [], "usage": 7},
        {"model": "m", "choices": [], "bedside": 7},
        {"model": "m", "choices": "x"},
        last(USAGE, evidence="certain"),
        last(USAGE, notice=7),
        last(USAGE, versions={"bedside": "1.0", "libraries": 7}),
        last({"prompt_tokens": 1}),
        last(USAGE, sources=["x"]),
        last(USAGE, red_flags=7),
        last(USAGE, red_flags={"findings": []}),
        last(USAGE, red_flags={**FLAGS, "findings": [{"rule": "x"}]}),
        last(USAGE, sources=[{"n": 1, "id": "x"}]),
        last(USAGE, dropped_messages="many"),
        last(USAGE, checks=[{**CHECK, "start": "x"}]),
        last(USAGE, checks=[{**CHECK, "cites": [{}]}]),
        last(USAGE, checks=[{**CHECK, "status": "unsupported", "reasons": ["x"]}]),
        last(USAGE, prompt={"done": 0, "total": 0}),
        last(USAGE, queue={"before": 1e400}),
        last({"bedside": {}}),
        last({**USAGE, "total_tokens": "many"}),
        last({**USAGE, "bedside": {**USAGE["bedside"], "decode_tokens_per_s": "fast"}}),
        last({**USAGE, "bedside": {**USAGE["bedside"], "joules": 1.0}}),
    ],
)
def test_another_kind_of_server_is_named_as_such(chunk: Any) -> None:
    with serving(streams(chunk)) as url, pytest.raises(ServerError, match=f"{url} is no Bedside server"):
        list(ask_server(Question("fever", url=url), lambda _: None))


def test_and_a_server_that_answers_as_ours_is_not() -> None:
    with serving(streams(last(USAGE))) as url:
        answer = list(ask_server(Question("fever", url=url), lambda _: None))[-1]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.evidence) == ("x", "insufficient")


@pytest.mark.parametrize("url", ["", "nowhere", "ftp://host", "http://[::1", "http://host:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ServerError, match="write http://HOST:PORT"):
        Connection(url).model()


def test_loading_is_waited_for_and_said_once() -> None:
    left = 3

    def loading(handler: BaseHTTPRequestHandler) -> None:
        nonlocal left
        left -= handler.path == "/ready"
        send(handler, b"{}", 503 if handler.path == "/ready" and left > 0 else 200)

    said: list[str] = []
    with serving(loading) as url, Connection(url) as connection:
        connection.wait_until_ready(said.append)
    assert (left, said) == (0, ["loading the model"])


def test_a_server_that_does_not_read_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a service's socket, until the process has started; here with less patience for a single look."""
    monkeypatch.setattr("assistant.client.connection._GLANCE_S", 0.1)
    looks = 0

    def silent_at_first(handler: BaseHTTPRequestHandler) -> None:
        nonlocal looks
        looks += 1
        time.sleep(0.3 if looks < 4 else 0)
        with suppress(OSError):
            send(handler, b"{}")

    said: list[str] = []
    with serving(silent_at_first) as url, Connection(url) as connection:
        connection.wait_until_ready(said.append)
    assert looks >= 4
    assert said == ["loading the model"]


def test_what_a_server_refuses_with_is_told_at_once_unless_it_loads() -> None:
    def refused(message: str) -> Respond:
        return lambda handler: send(handler, json.dumps({"error": {"message": message}}).encode(), 503)

    with (
        serving(refused("m.gguf was written to; start it again")) as url,
        Connection(url) as connection,
        pytest.raises(ServerError, match="was written to; start it again"),
    ):
        connection.wait_until_ready(lambda _: None)


def test_a_server_that_fails_to_load_is_not_waited_for() -> None:
    with serving(lambda handler: send(handler, b"", 500)) as url, Connection(url) as connection:
        with pytest.raises(ServerError, match="has not loaded its model"):
            connection.wait_until_ready(lambda _: None)
        connection.close()


def test_a_url_with_another_model_is_refused() -> None:
    models = b'{"data": [{"id": "reference"}]}'
    with serving(lambda handler: send(handler, models)) as url:
        with pytest.raises(ServerError, match=r"has 'reference', not 'other'; leave --model or --url out"):
            connect(url, "other")
        connect(url, "reference").close()
