"""The control: packets that are sent on purpose. A counter that does not see them proves nothing."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from assistant.doctor.egress.counter import Counter

_ADDRESS, _PORT = "203.0.113.1", 443
_NAME = "control.bedside.example"
_WAIT_S = 8.0
_POLL_S = 0.02


def send_control(counter: Counter) -> tuple[int, tuple[str, ...]]:
    """How many were counted, and the kinds of which none was: a connection, and a question for a name."""
    before = len(counter.so_far())
    missing = []
    if not _is_counted(counter, before, f"tcp {_ADDRESS}:{_PORT}", _connection()):
        missing.append("a connection")
    if not _is_counted(counter, before, f"(asks for {_NAME}", _question()):
        missing.append("a question for a name")
    return len(counter.so_far()) - before, tuple(missing)


def _is_counted(counter: Counter, before: int, words: str, sending: AbstractContextManager[None]) -> bool:
    until = time.monotonic() + _WAIT_S
    with sending:
        while time.monotonic() < until:
            if any(words in packet.to for packet in counter.so_far()[before:]):
                return True
            time.sleep(_POLL_S)
    return False


@contextmanager
def _connection() -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setblocking(False)
        attempt.connect_ex((_ADDRESS, _PORT))
        yield


@contextmanager
def _question() -> Iterator[None]:
    """By the system's own resolver, as a library would ask; ended as soon as it was counted."""
    program = f"import socket\ntry: socket.getaddrinfo({_NAME!r}, {_PORT})\nexcept OSError: pass"
    with subprocess.Popen([sys.executable, "-S", "-c", program]) as asking:
        try:
            yield
        finally:
            asking.kill()
