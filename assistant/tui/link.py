"""The terminal's connection: kept while its server answers, found anew when it does not."""

import threading
from collections.abc import Callable

from assistant.client.connection import Connection
from assistant.client.finding import connect
from assistant.errors import ServerError

Say = Callable[[str], None]
_LEAVING_S = 0.5


class Link:
    """One for all threads of a terminal."""

    def __init__(self, url: str | None, model: str | None) -> None:
        self._url, self._model = url, model
        self._lock = threading.Lock()
        self._held: Connection | None = None

    @property
    def url(self) -> str | None:
        """The server that was named; None where one on this machine is found or started."""
        return self._url

    def connection(self, say: Say) -> Connection:
        """A server that is ready; `say` hears what happens meanwhile. Raises BedsideError."""
        with self._lock:
            if self._held is None or not self._held.is_ready():
                self._release()
                self._held = connect(self._url, self._model, say)
            return self._held

    def known(self) -> Connection | None:
        """The connection that there is; None rather than a wait for one."""
        return self._held

    def count_tokens(self, text: str) -> tuple[int, int] | None:
        """Of a text, and what prompt and answer may have together; None where there is no server yet. Raises BedsideError."""
        with self._lock:
            return None if self._held is None else self._held.count_tokens(text)

    def switch(self, model: str, say: Say) -> Connection:
        """Another model, on a private server; where that fails, the former stays. Raises BedsideError.

        The former private server ends where this terminal started it and no other program has a share in it: both models
        would take memory.
        """
        with self._lock:
            if self._url is not None or (self._held is not None and not self._held.is_private):
                where = self._url or (self._held.where if self._held else "")
                raise ServerError(
                    f"the server at {where} is not this terminal's to change; stop it, or leave --url out"
                )
            found = connect(None, model, say)
            former, self._held, self._model = self._held, found, model
            if former is not None:
                former.retire()
            return found

    def close(self) -> None:
        """Give the connection back, when it is not just being used; a thread that still looks for a server is left to end."""
        if self._lock.acquire(timeout=_LEAVING_S):
            self._release()
            self._lock.release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
