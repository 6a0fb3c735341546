"""What is refused before there is a request: more connections than a server can hold, and what is no HTTP."""

import asyncio
import json
import resource
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from assistant.server import listening
from assistant.server.listening import unix_socket
from tests.assistant.server.conftest import Served, start, stop

FILES = 100


def test_too_many_connections_are_refused_and_tell_nothing_on_stderr(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    served = start(tmp_path, environment)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    held = []
    for _ in range(90):
        each = socket.socket(socket.AF_UNIX)
        each.settimeout(30)
        each.connect(str(served.socket))
        held.append(each)
    assert held[-1].recv(4096).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    head, _, refused = held[-2].recv(4096).partition(b"\r\n\r\n")
    assert b"\r\nRetry-After: 2\r\n" in head
    assert refused.startswith(b'{"error": {"message": "25 connections are open')
    held[0].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert held[0].recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    for each in held:
        each.close()
    stop(served)


@pytest.mark.parametrize("sent", [b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"x" * (2**16 + 2**15)])
def test_what_is_no_http_is_refused_in_the_shape_of_all_refusals(served: Served, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(served.socket))
        client.sendall(sent)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n")
    error = json.loads(body)["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "invalid_http")


def test_a_request_for_an_upgrade_is_answered_as_any_other(served: Served) -> None:
    with served.local() as client:
        asked = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "x",
        }
        known = client.get("/health", headers=asked)
        unknown = client.get("/socket", headers=asked)
    assert (known.status_code, known.json()) == (200, {"status": "ok"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "http_error")


LARGE = 4 * 2**20


async def sends_much(scope: Scope, receive: Receive, send: Send) -> None:
    """What the path asks for: a long body in one piece, or a short one."""
    body = b"x" * (LARGE if scope["path"] == "/large" else 1)
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A client of a server in this process that waits for nobody for long."""
    monkeypatch.setattr(listening, "_RECEIVE_S", 0.2)
    monkeypatch.setattr(listening, "_SEND_S", 0.2)
    server = uvicorn.Server(
        uvicorn.Config(sends_much, http=listening._Protocol, lifespan="off", log_level="error", timeout_keep_alive=3600)
    )
    listens = unix_socket(tmp_path / "s")
    running = threading.Thread(target=asyncio.run, args=(server.serve([listens]),))
    running.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(tmp_path / "s"))
        yield client
    server.should_exit = True
    running.join()
    listens.close()


@pytest.mark.parametrize("rest", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"])
def test_the_rest_of_a_request_that_came_with_another_must_arrive_in_time_too(
    hurried: socket.socket, rest: bytes
) -> None:
    hurried.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + rest)
    answered = hurried.makefile("rb").read()  # ends where the server has closed
    assert answered.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
def test_a_client_who_takes_nothing_is_cut_off(hurried: socket.socket, close: bytes) -> None:
    hurried.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n" + close + b"\r\n")
    poll = select.poll()
    poll.register(hurried, select.POLLRDHUP)
    assert poll.poll(30_000), "the connection is still held"


def test_a_client_who_takes_what_is_sent_bit_by_bit_gets_it_all(hurried: socket.socket) -> None:
    hurried.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert len(hurried.makefile("rb").read().partition(b"\r\n\r\n")[2]) == LARGE
