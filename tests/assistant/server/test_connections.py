"""More connections than a server can hold are refused, and those that it has are answered."""

import resource
import socket
from pathlib import Path

from tests.assistant.server.conftest import start, stop

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
