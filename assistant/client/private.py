"""A private server: started for whoever asks first, shared by all of the user's programs, gone when idle.

It listens on a unix socket only. There is one for each model file, told apart by a digest of its path. Whoever has a
connection to it holds a share, a lock of the operating system, so that it can be told whether it has others' too.
"""

import fcntl
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assistant.client.connection import Connection
from assistant.client.sockets import answers, private_folder
from assistant.errors import ServerError
from models.builtin import REFERENCE_ID
from models.resolve import resolve_gguf

IDLE_S = 600
_END_S = 5.0
_START_S = 120.0
"""To listen, before the model is loaded: a cold start from an SD card reads many files."""
_POLL_S = 0.05
_BOOT = (
    "import os; os.chdir('/'); os.closerange(3, 65536); import runpy; "
    "runpy.run_module('assistant', run_name='__main__', alter_sys=True)"
)
"""Away from the asker's folder before anything is imported, which could be a stranger's; and without his open files."""


class PrivateConnection(Connection):
    """With a share in its server; `process` is the server's, where this program started it."""

    def __init__(self, socket: Path, process: int | None) -> None:
        super().__init__("http://bedside", socket, private=True)
        self._socket, self._process = socket, process
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._share: int | None = os.open(socket.with_suffix(".users"), flags, 0o600)
        fcntl.flock(self._share, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give the connection and the share back."""
        super().close()
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def retire(self) -> None:
        """Give both back; a server that this program started, and that no other program has a share in, ends."""
        if self._process is not None and self._share is not None:
            with _locked(self._socket.with_suffix(".lock")):  # nobody takes a share meanwhile
                if _held_alone(self._share):
                    super().close()
                    _end(self._process)
        self.close()


def _held_alone(share: int) -> bool:
    try:
        fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(process: int) -> None:
    """End a child, and wait for a while until it has ended; one that has ended already is not there any more."""
    with suppress(ChildProcessError):
        if os.waitpid(process, os.WNOHANG)[0]:
            return
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + _END_S
        while not os.waitpid(process, os.WNOHANG)[0] and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def private_server(model: str | None, say: Callable[[str], None]) -> Connection:
    """A connection to the private server of a model, which is started where none runs.

    Raises ModelNotFoundError, ModelFileError, and ServerError with the reason that the server gives where it cannot start.
    """
    name = model or REFERENCE_ID
    path = resolve_gguf(name).resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    folder = private_folder()
    socket = folder / f"bedside-{digest}.sock"
    process: int | None = None
    while True:
        with _locked(socket.with_suffix(".lock")):
            if not answers(socket):
                say("starting the server")
                named = str(path) if path == Path(name).resolve() else name
                process = _start(named, socket, socket.with_suffix(".log"))
            found = PrivateConnection(socket, process)
        try:
            found.wait_until_ready(say)
        except ServerError as error:
            found.close()
            if process is not None:
                raise ServerError(_last_error(socket.with_suffix(".log"))) from error
            if answers(socket):
                raise
        else:
            return found
        # The one that was met had been idle for long enough, and was about to end.


def _start(model: str, socket: Path, log: Path) -> int:
    """Start a server, and wait until it listens: its process id. Raises ServerError where it ends instead, or takes too long.

    Ctrl-C ends a server that does not listen yet: the next asker would find neither it nor a lock, and start a second.
    """
    process: int | None = None
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        try:
            process = _spawn(model, socket, log, held)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        _wait_until_it_listens(process, socket, log)
    except KeyboardInterrupt:
        if process is not None:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
        raise
    except OSError as error:
        raise ServerError(f"cannot start a server ({error.strerror}); free memory, or check {log}") from error
    return process


def _wait_until_it_listens(process: int, socket: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not answers(socket):
        if os.waitpid(process, os.WNOHANG)[0]:
            raise ServerError(_last_error(log))
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise ServerError(f"a new server does not listen on {socket} within {_START_S:g} s; see {log}")
        time.sleep(_POLL_S)


def _spawn(model: str, socket: Path, log: Path, held: set[int]) -> int:
    """The process id of a server in a session of its own: Ctrl-C ends the question, not a server that listens."""
    command = [sys.executable, *_warnings(), "-c", _BOOT, "serve", "--model", model, "--socket", str(socket)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    quiet: list[tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(log), flags, 0o600),
    ]
    arguments = [*command, "--idle-exit", str(IDLE_S)]
    home = {name: os.path.abspath(value) for name, value in os.environ.items() if name == "BEDSIDE_HOME"}  # noqa: PTH100
    return os.posix_spawn(
        sys.executable, arguments, {**os.environ, **home}, file_actions=quiet, setsid=True, setsigmask=held
    )


def _warnings() -> list[str]:
    return [f"-W{option}" for option in sys.warnoptions]


def _last_error(log: Path) -> str:
    try:
        written = log.read_text("utf-8", "replace")
    except OSError:
        written = ""
    lines = [line for line in written.splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else f"the server has not loaded its model; see {log}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        handle = path.open("w")
    except OSError as error:
        raise ServerError(
            f"cannot write in {path.parent} ({error.strerror}); set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
