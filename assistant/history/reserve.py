"""Room for removing: on a full disk SQLite cannot even delete, so a file is kept that can be given up for it."""

import os
from pathlib import Path

from models.disk import free_space

_NAME = "reserve"
_SIZE_BYTES = 2 << 20
_LEAST_BYTES = 256 << 10  # the index of the write-ahead log, and a few pages


class Reserve:
    """The file in a history's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def keep(self) -> None:
        """Take the room, where there is any left to take."""
        if self._path.exists():
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(descriptor, 0, _SIZE_BYTES)
        except OSError:
            self.give_up()
        finally:
            os.close(descriptor)

    def give_up_if_needed(self) -> bool:
        """Free the room where the disk has next to none; whether that was done."""
        return free_space(self._path.parent) < _LEAST_BYTES and self.give_up()

    def give_up(self) -> bool:
        """Free the room; whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
