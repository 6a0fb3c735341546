"""Which server to ask: one that was named, the installed service, the user's own, else a private one, started here."""

from collections.abc import Callable
from pathlib import Path

from assistant.client.connection import Connection
from assistant.client.private import private_server
from assistant.client.sockets import SERVICE_SOCKET, answers, user_socket

Say = Callable[[str], None]


def connect(url: str | None, model: str | None, say: Say = lambda _: None) -> Connection:
    """A connection to a server that is ready. `say` hears what happens meanwhile.

    Where `model` is named, only a server of that very model will do: a running one that calls it so, else a private one.
    Raises ServerError, and what finding the model raises.
    """
    if url is not None:
        return Connection(url)
    for path in (SERVICE_SOCKET, user_socket()):
        found = _running(path, model)
        if found is not None:
            return found
    return private_server(model, say)


def _running(path: Path, model: str | None) -> Connection | None:
    if not answers(path):
        return None
    found = Connection("http://bedside", path)
    if found.is_ready() and model in (None, found.model()):
        return found
    found.close()
    return None
