"""What is typed while the program is still being loaded, in a pseudo-terminal: not shown, not lost; and what a signal leaves."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.history.store import History
from assistant.history.vault import Vault
from benchmarks.scripted_server import ScriptedServer, serving
from tests.assistant.conftest import IGNORED
from tests.assistant.tui.stage import ANSWER
from tests.assistant.tui.test_privacy import PASSPHRASE


class Started:
    """`bedside chat` at its start."""

    def __init__(self, folder: Path, url: str) -> None:
        self._keyboard, self.inner = pty.openpty()
        self.before = termios.tcgetattr(self.inner)
        environment = {
            **os.environ, "XDG_RUNTIME_DIR": str(folder), "BEDSIDE_HISTORY": str(folder / "history"), "TERM": "xterm",
        }  # fmt: skip
        command = [sys.executable, *IGNORED, "-m", "assistant", "chat", "--url", url]
        self.process = subprocess.Popen(
            command, stdin=self.inner, stdout=self.inner, stderr=self.inner, env=environment, start_new_session=True
        )
        os.set_blocking(self._keyboard, False)
        self.written = b""

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.inner)[tty.LFLAG] & termios.ECHO)

    def type(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def read(self) -> bytes:
        try:
            self.written += os.read(self._keyboard, 1 << 16)
        except BlockingIOError:
            time.sleep(0.01)
        return self.written

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)
        os.close(self._keyboard)
        os.close(self.inner)


@contextmanager
def started(folder: Path) -> Iterator[Started]:
    with serving(ScriptedServer([ANSWER])) as url:
        running = Started(folder, url)
        try:
            deadline = time.monotonic() + 20
            while running.echoes:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            yield running
        finally:
            running.close()


def until(running: Started, words: bytes) -> None:
    deadline = time.monotonic() + 20
    while words not in running.read():
        assert time.monotonic() < deadline, running.written[-2000:]


def test_a_passphrase_that_is_typed_at_once_is_not_shown_and_opens_the_history(tmp_path: Path) -> None:
    key, _ = Vault(tmp_path / "history").create(PASSPHRASE)
    History.open(tmp_path / "history", key).close()
    with started(tmp_path) as running:
        assert running.read() == b""  # nothing of the application yet
        running.type(f"{PASSPHRASE}\r")
        until(running, b"saved, encrypted")
        assert PASSPHRASE[:4].encode() not in running.written
        running.type("\x11")
        while running.process.poll() is None:
            running.read()
        assert running.process.returncode == 0
        assert termios.tcgetattr(running.inner) == running.before


@pytest.mark.parametrize(
    ("number", "early"),
    [(signal.SIGTERM, True), (signal.SIGTERM, False), pytest.param(signal.SIGHUP, False, marks=pytest.mark.slow)],
)
def test_a_signal_ends_it_at_once_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, number: signal.Signals, early: bool
) -> None:
    with started(tmp_path) as running:
        if not early:
            until(running, b"2,048")
            running.type("words that nobody has asked yet " * 10)
            until(running, b"asked yet")
        running.process.send_signal(number)
        while running.process.poll() is None:
            running.read()
        assert running.process.returncode == 128 + number
        assert termios.tcgetattr(running.inner) == running.before
        assert early or b"\x1b[?1049l" in running.read()
