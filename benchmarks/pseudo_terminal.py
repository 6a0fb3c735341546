"""`bedside chat` in a pseudo-terminal: keys in, everything that it writes out, with the time at which it came."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

COLUMNS, LINES = 100, 40


class PseudoTerminal:
    """A running terminal, and all that it wrote."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._handle, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        # llama-cpp-python is not imported here, but where it is, it leaves /dev/null open.
        command = [sys.executable, "-W", "ignore::ResourceWarning", "-m", "assistant", "chat", *arguments]
        self.process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, env=environment, start_new_session=True
        )
        os.close(inner)
        self.written = b""

    def read_until(self, words: str, timeout_s: float = 20.0, *, start: int = 0) -> float:
        """When these words had come, written at or after `start`; monotonic seconds. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        wanted = words.encode()
        while wanted not in self.written[max(start, 0) :]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{words!r} never came; the last was {self.written[-2000:]!r}")
            self._read(0.05)
        return time.monotonic()

    def _read(self, wait_s: float) -> None:
        if select.select([self._handle], [], [], wait_s)[0]:
            with suppress(OSError):  # the process has left
                self.written += os.read(self._handle, 65536)

    def write(self, keys: str) -> float:
        """Press keys; when that was, in monotonic seconds."""
        pressed_at = time.monotonic()
        os.write(self._handle, keys.encode())
        return pressed_at

    def press(self, keys: str, wait_s: float = 0.3) -> None:
        """Press keys, and read for a while."""
        end = self.write(keys) + wait_s
        while time.monotonic() < end:
            self._read(0.02)

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        os.close(self._handle)


@contextmanager
def terminal(folder: Path, *arguments: str) -> Iterator[PseudoTerminal]:
    """A terminal whose history and models would lie in `folder`."""
    environment = {
        **os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "BEDSIDE_HISTORY": str(folder / "history"),
        "BEDSIDE_HOME": str(folder),
    }  # fmt: skip
    running = PseudoTerminal([*arguments], environment)
    try:
        yield running
    finally:
        running.close()
