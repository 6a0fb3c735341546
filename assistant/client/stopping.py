"""Ending an answer from another thread than the one that reads it."""

import socket
import threading
from contextlib import suppress


class Stop:
    """Wakes the reader at once by shutting its connection down, which ends the work on the server as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked.is_set()

    def now(self) -> None:
        """End the answer; one that has not begun ends as soon as it does."""
        self._asked.set()
        self._shut()

    def hold(self, connection: socket.socket) -> None:
        """The connection that the answer comes over."""
        with self._lock:
            self._held = connection
        if self.asked:
            self._shut()

    def wait(self, timeout_s: float) -> bool:
        """Until it is asked for, or so long; whether it was."""
        return self._asked.wait(timeout_s)

    def _shut(self) -> None:
        with self._lock, suppress(OSError):  # the reader may have closed it
            if self._held is not None:
                self._held.shutdown(socket.SHUT_RDWR)
