"""What is refused before there is a request: more connections than a server can hold, and what is no HTTP."""

import json
import resource
import socket
from pathlib import Path

import pytest

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
    refused = held[-2].recv(4096).partition(b"\r\n\r\n")[2]
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
