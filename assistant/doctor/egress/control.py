"""The control: packets that are sent on purpose. A counter that does not see them proves nothing."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable

from assistant.doctor.egress.counter import Counter

_ADDRESS, _PORT = "203.0.113.1", 443
_NAME = "control.bedside.example"
_WAIT_S = 8.0
_POLL_S = 0.02


def send_control(counter: Counter) -> tuple[int, tuple[str, ...]]:
    """How many were counted, and the kinds of which none was: a connection, and a question for a name."""
    before = len(counter.so_far())
    missing = []
    if not _is_counted(counter, before, f"tcp {_ADDRESS}:{_PORT}", _connect):
        missing.append("a connection")
    if not _is_counted(counter, before, f"(asks for {_NAME}", _look_up):
        missing.append("a question for a name")
    return len(counter.so_far()) - before, tuple(missing)


def _is_counted(counter: Counter, before: int, words: str, send: Callable[[], None]) -> bool:
    send()
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        if any(words in packet.to for packet in counter.so_far()[before:]):
            return True
        time.sleep(_POLL_S)
    return False


def _connect() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setblocking(False)
        attempt.connect_ex((_ADDRESS, _PORT))


def _look_up() -> None:
    """By the system's own resolver, as a library would; ended where it waits for a server that never answers."""
    program = f"import socket\ntry: socket.getaddrinfo({_NAME!r}, {_PORT})\nexcept OSError: pass"
    try:
        subprocess.run([sys.executable, "-c", program], timeout=2.0, check=False)
    except subprocess.TimeoutExpired:
        return
