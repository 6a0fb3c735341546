"""Too many clients, slow ones, and those who send nonsense: refused with a reason, and the others are answered."""

import asyncio
import json
import socket
import time
from collections import Counter
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.client.connection import Connection
from assistant.client.sockets import answers
from tests.assistant.server.conftest import Served

CHAT = "/v1/chat/completions"
POSTS = (CHAT, "/v1/completions", "/v1/embeddings", "/tokenize", "/detokenize", "/v1/knowledge/search")
TURNS = [{"role": "user", "content": "What is croup?"}]
SHORT: dict[str, Any] = {"messages": TURNS, "max_tokens": 1}
CONNECTIONS = 1000
HEALTH_S = 5.0


def request(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def ask(port: int, payload: bytes) -> tuple[int, dict[str, str], float]:
    """Status, headers and seconds of one request on a connection of its own."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(payload)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    first, *rest = head.splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return int(first.split()[1]), headers, time.monotonic() - started


def test_a_thousand_at_once_are_answered_or_refused_and_health_stays(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    payload = request(CHAT, json.dumps(SHORT).encode(), "Connection: close")

    async def crowd() -> tuple[list[tuple[int, dict[str, str], float]], list[tuple[int, dict[str, str], float]]]:
        asking = asyncio.gather(*(ask(port, payload) for _ in range(CONNECTIONS)))
        health = []
        while not asking.done():
            health.append(await ask(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            await asyncio.sleep(0.05)
        return await asking, health

    answers, health = asyncio.run(asyncio.wait_for(crowd(), 120))
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] > 0
    assert statuses[429] + statuses[503] > CONNECTIONS / 2
    assert all("retry-after" in headers for status, headers, _ in answers if status != 200)
    assert [status for status, _, _ in health] == [200] * len(health)
    assert max(seconds for _, _, seconds in health) < HEALTH_S
    with served.local() as client:
        assert client.post(CHAT, json=SHORT).status_code == 200


def test_where_all_places_are_taken_health_is_told_and_nothing_else(served: Served) -> None:
    """Half-open requests hold every place until their deadline, or until they leave as here."""
    held = [socket.socket(socket.AF_UNIX) for _ in range(256)]
    for each in held:
        each.connect(str(served.socket))
        each.sendall(b"GET /health HT")
    with served.local() as client:
        assert client.get("/health").status_code == 200
        found = client.post(CHAT, json=SHORT)
        assert (found.status_code, found.json()["error"]["code"]) == (503, "connections")
        assert found.headers["Retry-After"] == "2"
        for each in held:
            each.close()
        assert client.post(CHAT, json=SHORT).status_code == 200


def test_who_reads_slowly_keeps_nobody_waiting_and_gets_it_all(served: Served) -> None:
    body = {"messages": TURNS, "max_tokens": 400, "stream": True, "logit_bias": {"2": -100}, "logprobs": True}
    held = []
    for _ in range(3):  # of the four that are answered at once
        each = socket.socket(socket.AF_UNIX)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        each.connect(str(served.socket))
        each.sendall(request(CHAT, json.dumps({**body, "top_logprobs": 20}).encode(), "Connection: close"))
        held.append(each)
    with served.local() as client:
        for _ in range(3):
            started = time.monotonic()
            assert client.post(CHAT, json=SHORT).status_code == 200
            assert time.monotonic() - started < 5
    for each in held:
        each.settimeout(30)
        whole = b""
        while piece := each.recv(2**16):
            whole += piece
        each.close()
        assert len(whole) > 2**19  # more than the system keeps for him
        assert whole.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_body_of_64_mib_is_refused_and_not_kept(served: Served) -> None:
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(served.socket))
        client.sendall(request(CHAT, b" " * 100, "Connection: close").replace(b": 100\r\n", b": 67108864\r\n"))
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
        try:
            for _ in range(64):
                client.sendall(b" " * 2**20)
        except OSError:  # it has closed
            pass
    assert process.memory_info().rss - before < 16 * 2**20


FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from([
            b"GET /health HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n",
            b"Content-Length: " + b"9" * 6000 + b"\r\n", b"Content-Length: \xb2\r\n", b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n", b"POST /tokenize HTTP/1.1\r\n", b"GET /health HTTP/0.9\r\n", b"PRI * HTTP/2.0\r\n",
            b"Content-Type: application/json\r\n", b"Expect: 100-continue\r\n", b"Host: \x00\r\n", b"GET /%00%ff HTTP/1.1\r\n",
            b"x" * 3000 + b": y\r\n", b"ffffffffffffffffff\r\n", b"{}", b"\x16\x03\x01", b"OPTIONS * HTTP/1.1\r\n",
        ]),
    ),
    max_size=8,
).map(b"".join)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FRAMES)
def test_any_bytes_are_refused_or_waited_for(served: Served, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(served.socket))
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        try:
            told = client.makefile("rb").read()
        except ConnectionResetError:  # closed with bytes that nobody read
            return
    statuses = [int(line.split()[1]) for line in told.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert all(status in (100, *range(200, 300), *range(400, 500)) for status in statuses), told


VALUES = {
    "half a pair": '"\\ud800"',
    "two halves": '"\\udfff\\ud800 x"',
    "no number": "NaN",
    "without end": "-Infinity",
    "too large": "1e999",
    "too long": "1" * 5000,
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "itself": '{"$ref": "#"}',
}


@pytest.mark.parametrize("name", VALUES)
def test_values_that_are_none_are_refused_on_every_path(served: Served, name: str) -> None:
    value = VALUES[name]
    fields = (
        "messages",
        "prompt",
        "input",
        "query",
        "tokens",
        "stop",
        "temperature",
        "bedside",
        "response_format",
        "seed",
    )
    with served.local() as client:
        for path in POSTS:
            bodies = [value, *(f'{{"{field}": {value}}}' for field in fields)]
            bodies.append(f'{{"messages": [{{"role": "user", "content": {value}}}]}}')
            for body in bodies:
                found = client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})
                assert 400 <= found.status_code < 500, (path, body[:80], found.text)


def test_text_that_is_no_utf_8_is_refused_on_every_path(served: Served) -> None:
    with served.local() as client:
        for path in POSTS:
            for body in (b'{"prompt": "\xff"}', b"\xfe\xff", b'{"messages": "\xed\xa0\x80"}'):
                found = client.post(path, content=body, headers={"Content-Type": "application/json"})
                assert 400 <= found.status_code < 500, (path, body, found.text)


def test_and_the_server_is_as_it_was(served: Served) -> None:
    with served.local() as client:
        assert client.post(CHAT, json=SHORT).status_code == 200
        assert "bedside_running 0.0" in client.get("/metrics").text
    assert served.process.poll() is None


def test_a_socket_deleted_under_a_server_leaves_its_other_door_open(served: Served) -> None:
    served.socket.unlink()
    assert not answers(served.socket)
    with Connection(served.url) as found:
        assert found.model() == "reference"
