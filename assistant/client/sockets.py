"""Where servers listen on this machine."""

import os
import socket
import stat
import tempfile
from pathlib import Path

from assistant.errors import ServerError

SERVICE_SOCKET = Path("/run/bedside/bedside.sock")


def runtime_folder() -> Path:
    """The user's folder for sockets: it goes when the user logs out."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"bedside-{os.getuid()}"


def private_folder() -> Path:
    """`runtime_folder`, made where it is not there. Raises ServerError where others could put a socket of theirs into it."""
    folder = runtime_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ServerError(
            f"cannot use {folder} ({error.strerror}); set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ServerError(f"others can write to {folder}; set XDG_RUNTIME_DIR to a folder that is yours alone")
    return folder


def user_socket() -> Path:
    """Where `bedside serve` listens unless told otherwise. Raises ServerError as `private_folder` does."""
    return private_folder() / "bedside.sock"


def answers(path: Path) -> bool:
    """Whether somebody listens there; a server that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # as many wait as may: somebody listens, if slowly
            return True
        except OSError:
            return False
        return True
