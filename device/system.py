"""The machine that is looked at: files below a root, and programs on this very machine only."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from device.errors import SourceUnavailableError

_RUN_S = 2.0


class System:
    """A machine's files. With a root of its own nothing but files is read: no program, no device, no network."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    @property
    def is_own(self) -> bool:
        """Whether it is this machine itself."""
        return self.root == Path("/")

    def path(self, name: str) -> Path:
        """`name`, which begins with a slash, below the root."""
        return self.root / name.lstrip("/")

    def read(self, path: Path) -> str:
        """A small file's text without NUL bytes and surrounding blanks. Raises OSError."""
        return path.read_bytes().decode("utf-8", "replace").replace("\0", "").strip()

    def glob(self, pattern: str) -> list[Path]:
        """Paths below the root that match, in order."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def run(self, command: Sequence[str], timeout_s: float = _RUN_S) -> str:
        """What a program prints, on either stream. Raises SourceUnavailableError where it is not here or takes too long."""
        if not self.is_own:
            raise SourceUnavailableError(
                f"{command[0]} is not run for {self.root}", "look at the machine itself, without --sysroot"
            )
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=timeout_s, check=False, text=True, errors="replace"
            )
        except FileNotFoundError:
            raise SourceUnavailableError(f"{command[0]} is not installed", "nothing to do on another board") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceUnavailableError(
                f"{command[0]} gives no answer ({type(error).__name__})", "check that it works in a shell"
            ) from None
        return done.stdout + done.stderr
