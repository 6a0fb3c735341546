"""A server may send anything: events come out whole however they are cut, or an error of ours, in bounded memory."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.client.connection import Connection
from assistant.errors import ServerError
from tests.assistant.client.test_connection import serving

EVENTS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers()), max_size=4)
NOISE = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([
            b"data: ", b"data:", b"\n", b"\r", b"\r\n", b"data: [DONE]\n", b"data: {}\n", b"data: [\n", b": x\n",
            b'data: {"error": 1}\n', b'data: {"error": {"message": "no"}}\n', b"data: " + b"[" * 5000 + b"\n", b"event: x\n",
            b"data: " + b"1" * 5000 + b"\n", b'data: "error"\n', b"data: null\n", b"data: NaN\n",
        ]),
    ),
    max_size=10,
).map(b"".join)  # fmt: skip


def pieces(handler: BaseHTTPRequestHandler, data: bytes, cuts: list[int]) -> None:
    """The body in chunks that end where they happen to."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for begin, end in pairwise(places):
        handler.wfile.write(b"%x\r\n%b\r\n" % (end - begin, data[begin:end]))
        handler.wfile.flush()
    handler.wfile.write(b"0\r\n\r\n")
    handler.close_connection = True


def told(data: bytes, cuts: list[int]) -> list[Any]:
    with serving(lambda handler: pieces(handler, data, cuts)) as url, Connection(url) as connection:
        return list(connection.chat({}))


@settings(max_examples=15, deadline=None)
@given(EVENTS, st.lists(st.integers(0, 400), max_size=12), st.sampled_from(["\n\n", "\r\n\r\n", "\n: a comment\n\n"]))
def test_events_are_whole_wherever_they_are_cut(events: list[dict[str, Any]], cuts: list[int], end: str) -> None:
    sent = [event for event in events if "error" not in event]
    lines = [f"data: {json.dumps(event, ensure_ascii=False)}{end}" for event in sent]
    assert told("".join([*lines, "data: [DONE]\n\n"]).encode(), cuts) == sent


@settings(max_examples=25, deadline=None)
@given(NOISE, st.lists(st.integers(0, 60), max_size=6))
def test_any_bytes_are_events_or_one_line(data: bytes, cuts: list[int]) -> None:
    try:
        told(data, cuts)
    except ServerError as error:
        check_line(error)


def check_line(error: ServerError) -> None:
    assert "\n" not in str(error)


HUNGRY = """
import resource, sys
from assistant.client.connection import Connection
from assistant.errors import ServerError
resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))
with Connection(sys.argv[1]) as connection:
    try:
        print(sum(1 for _ in connection.chat({})))
    except ServerError as error:
        print(error)
"""


def with_little_memory(url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_stream_without_end_takes_no_memory() -> None:
    """64 MiB in one line is refused on the way; as much in events of 4 MiB is read one by one."""
    event = b'data: {"x": "' + b"y" * (4 * 2**20) + b'"}\n\n'

    def one_line(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(16):
                handler.wfile.write(b"data: " + b"x" * 2**22)
        except OSError:  # the client has had enough
            return

    def events(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(16):
            handler.wfile.write(event)
        handler.wfile.write(b"data: [DONE]\n\n")

    with serving(one_line) as url:
        assert "is no Bedside server" in with_little_memory(url)
    with serving(events) as url:
        assert with_little_memory(url) == "16\n"
