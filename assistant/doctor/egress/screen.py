"""`bedside chat` on a screen that nobody sees: a question is typed and an answer waited for."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from contextlib import suppress

from assistant.errors import ProofError

_LINES, _COLUMNS = 40, 100
_ANSWERED = b"tok/s"
"""Stands at the end of an answer."""
_WAIT_S, _TYPE_S, _END_S = 120.0, 0.5, 10.0


def ask_on_a_screen(question: str, environment: Mapping[str, str]) -> None:
    """Ask one question in `bedside chat`. Raises ProofError where no answer appears."""
    keys, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "assistant", "chat"], stdin=inner, stdout=inner, stderr=inner, env=environment,
        start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    try:
        _read_until(keys, b"\x1b[", _WAIT_S)
        _read_until(keys, None, _TYPE_S)
        os.write(keys, question.encode())
        _read_until(keys, None, _TYPE_S)
        os.write(keys, b"\r")
        if not _read_until(keys, _ANSWERED, _WAIT_S):
            raise ProofError("no answer appeared on the screen")
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        process.wait()
        os.close(keys)


def _read_until(keys: int, words: bytes | None, wait_s: float) -> bool:
    """Whether these words were written within that time; without words, all of that time is read through."""
    written, until = b"", time.monotonic() + wait_s
    while (left_s := until - time.monotonic()) > 0:
        if not select.select([keys], [], [], min(left_s, 0.1))[0]:
            continue
        try:
            written += os.read(keys, 65536)
        except OSError:
            return False  # the program has left
        if words is not None and words in written:
            return True
    return False
