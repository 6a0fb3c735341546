"""The machine that is looked at: files below a root, and programs on this very machine only."""

import errno
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from device.errors import SourceUnavailableError

_RUN_S = 2.0


class System:
    """A machine's files. With a root of its own nothing but files below it is read: no program, no device, no network."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path("/") if root is None else root.absolute()
        self._real_root = self.root.resolve()
        self._own = root is None

    @property
    def is_own(self) -> bool:
        """Whether it is this machine itself."""
        return self._own

    def path(self, name: str) -> Path:
        """`name`, which begins with a slash, below the root."""
        return self.root / name.lstrip("/")

    def read(self, path: Path) -> str:
        """A small file's text without surrounding blanks and without what is not printed. Raises OSError."""
        if not self._own and not path.resolve().is_relative_to(self._real_root):
            raise FileNotFoundError(errno.ENOENT, "a link that leaves the root", str(path))
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for without end
            raise OSError(errno.EINVAL, "no regular file", str(path))
        text = path.read_bytes().decode("utf-8", "replace")
        return "".join(character for character in text if character.isprintable() or character in "\n\t").strip()

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
