"""The file behind a loaded model: its pages are the weights, so whoever writes to it changes the answers."""

import os
import weakref
from pathlib import Path

from models.errors import ModelFileError


class MappedFile:
    """Held open, so that it is the same file whatever comes to stand under its name."""

    def __init__(self, path: Path) -> None:
        """Before it is mapped. Raises ModelFileError where it cannot be opened."""
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ModelFileError(
                f"cannot open {path} ({error.strerror}); check the file and its permissions"
            ) from error
        self.close = weakref.finalize(self, os.close, self._descriptor)
        self._stamp = self._look()

    def check(self) -> None:
        """Raise ModelFileError where it was written to. One that was removed or replaced by renaming stays as it was."""
        if self._look() != self._stamp:
            raise ModelFileError(
                f"{self._path} was written to while it was in use, which changes the answers; start again,"
                " and put another model there by renaming it"
            )

    def _look(self) -> tuple[int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns
