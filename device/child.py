"""A program that prints a line per look at its sensor: read with a deadline, ended with all that it started."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from device.errors import ReadingError, SourceUnavailableError

_GRACE_S = 1.0
_LONGEST_LINE = 2**20
"""Characters; of a longer one no more is held at a time."""


class LineChild:
    """A running program and the newest line that it printed; older lines are dropped.

    Its input stays open as long as we live: a program that waits on it can end when we do.
    """

    def __init__(self, command: Sequence[str], name: str, *, with_errors: bool = True) -> None:
        """Start `command`, in a session of its own; `name` is for messages. Raises SourceUnavailableError."""
        self._name = name
        self._changed = threading.Condition()
        self._newest: tuple[float, str] | None = None
        self._ended = False
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
                text=True,
                errors="replace",
                start_new_session=True,
                cwd="/",  # the caller's folder could hold a stranger's modules, which Python would import first
            )
        except FileNotFoundError:
            raise SourceUnavailableError(f"{name} is not installed", "nothing to do on another board") from None
        except OSError as error:
            raise SourceUnavailableError(
                f"{name} cannot be started ({error.strerror})", "check that it works in a shell"
            ) from None
        self._reader = threading.Thread(target=self._follow, name=f"{name} output", daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        """Of the program itself."""
        return self._process.pid

    def line(self, timeout_s: float) -> str:
        """The newest line that was not given before, at most `timeout_s` old; waits for one as long.

        Raises:
            ReadingError: none came in time.
            SourceUnavailableError: the program has ended and has nothing more to say.
        """
        with self._changed:
            if self._newest and self._newest[0] < time.monotonic() - timeout_s:
                self._newest = None
            self._changed.wait_for(lambda: self._newest is not None or self._ended, timeout_s)
            if self._newest is not None:
                line, self._newest = self._newest[1], None
                return line
            if not self._ended:
                raise ReadingError(f"{self._name} has printed nothing for {timeout_s:g} s")
        raise SourceUnavailableError(f"{self._name} has ended", "run it in a shell to see why, then start again")

    def close(self) -> None:
        """End the program and what it started; safe to call twice."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
                break
        self._reader.join(_GRACE_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream and not (stream is self._process.stdout and self._reader.is_alive()):
                stream.close()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        begun = False
        while line := self._process.stdout.readline(_LONGEST_LINE):
            if line.endswith("\n") and not begun:  # what is cut off at either end says nothing
                with self._changed:
                    self._newest = time.monotonic(), line.rstrip("\n")
                    self._changed.notify_all()
            begun = not line.endswith("\n")
        with self._changed:
            self._ended = True
            self._changed.notify_all()
