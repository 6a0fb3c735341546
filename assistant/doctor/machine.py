"""What is examined: a machine's files, and on this very machine the model that a start would take."""

from dataclasses import dataclass, field
from pathlib import Path

from assistant.client.sockets import SERVICE_SOCKET, answers, runtime_folder
from device.system import System
from models.builtin import REFERENCE_ID


@dataclass(frozen=True)
class Machine:
    """A machine to look at. With a system of another root only files below that are read."""

    system: System = field(default_factory=System)
    model: str = REFERENCE_ID
    service_socket: Path = SERVICE_SOCKET

    @property
    def root(self) -> Path:
        """Below which its files lie."""
        return self.system.root

    def sockets(self) -> list[Path]:
        """Where servers listen that this user's programs would find: the service's, the user's own, private ones."""
        folder = runtime_folder()
        private = sorted(folder.glob("bedside-*.sock")) if folder.is_dir() else []
        found = [path for path in (self.service_socket, folder / "bedside.sock") if path.is_socket()]
        return found + [path for path in private if answers(path)]  # what a private one leaves, the next one takes away

    def read(self, name: str) -> str | None:
        """A small file's text; None where it cannot be read."""
        try:
            return self.system.read(self.system.path(name))
        except OSError:
            return None
