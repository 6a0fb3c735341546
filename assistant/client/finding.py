"""Which server to ask: one that was named, the installed service, the user's own, else a private one, started here."""

from collections.abc import Callable
from pathlib import Path

from assistant.client.connection import Connection
from assistant.client.private import private_server
from assistant.client.sockets import SERVICE_SOCKET, answers, user_socket
from assistant.errors import ServerError

Say = Callable[[str], None]


def connect(url: str | None, model: str | None, say: Say = lambda _: None) -> Connection:
    """A connection to a server that is ready. `say` hears what happens meanwhile.

    Where `model` is named, only a server of that very model will do: a running one that calls it so, else a private one.
    Raises ServerError, and what finding the model raises.
    """
    if url is not None:
        found = Connection(url)
        if model is not None and found.model() != model:
            raise ServerError(f"the server at {url} has {found.model()!r}, not {model!r}; leave --model or --url out")
        return found
    if model is None or not Path(model).is_file():  # a server tells a file by its name only, and names may be alike
        running = _running(SERVICE_SOCKET, model, say) or _running(user_socket(), model, say)
        if running is not None:
            return running
    return private_server(model, say)


def _running(path: Path, model: str | None, say: Say) -> Connection | None:
    if not answers(path):
        return None
    found = Connection("http://bedside", path)
    if model in (None, found.model()):
        found.wait_until_ready(say)
        return found
    found.close()
    return None
