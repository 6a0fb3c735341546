"""Where servers listen on this machine."""

import os
import socket
import tempfile
from pathlib import Path

SERVICE_SOCKET = Path("/run/bedside/bedside.sock")


def runtime_folder() -> Path:
    """The user's folder for sockets: it goes when the user logs out."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) if runtime else Path(tempfile.gettempdir()) / f"bedside-{os.getuid()}"


def user_socket() -> Path:
    """Where `bedside serve` listens unless told otherwise."""
    return runtime_folder() / "bedside.sock"


def answers(path: Path) -> bool:
    """Whether somebody listens there; a server that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
