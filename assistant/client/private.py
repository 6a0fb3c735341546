"""A private server: started for whoever asks first, shared by all of the user's programs, gone when idle.

It listens on a unix socket only. There is one for each model file, told apart by a digest of its path.
"""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.client.connection import Connection
from assistant.client.sockets import answers, private_folder
from assistant.errors import ServerError
from models.builtin import REFERENCE_ID
from models.resolve import resolve_gguf

IDLE_S = 600
_LOADING_S = 300.0
_POLL_S = 0.05


def private_server(model: str | None, say: Callable[[str], None]) -> Connection:
    """A connection to the private server of a model, which is started where none runs.

    Raises ModelNotFoundError, ModelFileError, and ServerError with the reason that the server gives where it cannot start.
    """
    name = model or REFERENCE_ID
    path = resolve_gguf(name).resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    folder = private_folder()
    socket = folder / f"bedside-{digest}.sock"
    with _locked(socket.with_suffix(".lock")):
        if not answers(socket):
            say("starting the server")
            log = socket.with_suffix(".log")
            _wait(_start(str(path) if path == Path(name).resolve() else name, socket, log), socket, log)
    found = Connection("http://bedside", socket)
    if not found.is_ready():
        say("loading the model")
        _wait_until_ready(found, socket.with_suffix(".log"))
    return found


def _start(model: str, socket: Path, log: Path) -> int:
    """The process id of a server in a session of its own: Ctrl-C ends the question, not the server."""
    command = [sys.executable, *_warnings(), "-m", "assistant", "serve", "--model", model, "--socket", str(socket)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    quiet: list[tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(log), flags, 0o600),
    ]
    arguments = [*command, "--idle-exit", str(IDLE_S)]
    return os.posix_spawn(sys.executable, arguments, os.environ, file_actions=quiet, setsid=True)


def _warnings() -> list[str]:
    return [f"-W{option}" for option in sys.warnoptions]


def _wait(process: int, socket: Path, log: Path) -> None:
    """Until it listens. Raises ServerError where it ends instead."""
    while not answers(socket):
        if os.waitpid(process, os.WNOHANG)[0]:
            raise ServerError(_last_error(log))
        time.sleep(_POLL_S)


def _wait_until_ready(found: Connection, log: Path) -> None:
    deadline = time.monotonic() + _LOADING_S
    while not found.is_ready():
        if time.monotonic() > deadline or not answers(Path(found.where)):
            found.close()
            raise ServerError(_last_error(log))
        time.sleep(_POLL_S)


def _last_error(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else f"the server has not loaded its model; see {log}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
