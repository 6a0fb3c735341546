"""Who has a history open: locks of the operating system, which go with their process, however it ends.

Everybody who has it open holds `.lock` together with the others; who replaces its files holds it alone. Who writes an
answer holds a file of its own in `writers`, so that others can tell an answer that grows from one whose writer is gone.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from assistant.errors import DiskFullError, HistoryError
from assistant.history.conversation import new_id
from assistant.history.place import make_private
from models.disk import only_writer
from models.errors import StorageError

_LOCK, _WRITERS = ".lock", "writers"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder while nobody has its history open. Raises HistoryError where somebody has."""
    make_private(folder)
    with ExitStack() as held:
        try:
            os.close(_opened_lock(folder))  # as a file of this user alone, before it is made for everybody
            held.enter_context(only_writer(folder))
        except StorageError:
            raise HistoryError(f"another terminal has the history in {folder} open; close it, then try again") from None
        yield


class Presence:
    """One connection's share in the folder, until `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = ""
        self._own: int | None = None
        self._shared = _opened_lock(folder)
        if not _lock(self._shared, fcntl.LOCK_SH):
            os.close(self._shared)
            raise HistoryError(f"the history in {folder} is just being replaced; try again when that has ended")

    def writer(self) -> str:
        """The name under which this connection writes answers. Raises HistoryError where the folder takes no file."""
        if self._own is None:
            self._writer = new_id()
            folder = self._folder / _WRITERS
            make_private(folder)
            self._own = _made(folder / self._writer)
        return self._writer

    def is_another(self, writer: str) -> bool:
        """Whether another connection writes under this name now."""
        return writer != self._writer and not self.is_gone(writer)

    def is_gone(self, writer: str) -> bool:
        """Whether nobody writes under this name any more."""
        path = self._folder / _WRITERS / writer
        if writer == self._writer:
            return False
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False  # nothing is known of it: its answers are left alone
        try:
            if not _lock(descriptor, fcntl.LOCK_EX):
                return False
            path.unlink(missing_ok=True)
            return True
        finally:
            os.close(descriptor)

    def forget_gone(self) -> None:
        """Take away the files of writers that are gone."""
        for path in (self._folder / _WRITERS).glob("[!.]*"):
            self.is_gone(path.name)

    def close(self) -> None:
        """Let go of both."""
        if self._own is not None:
            (self._folder / _WRITERS / self._writer).unlink(missing_ok=True)
            os.close(self._own)
            self._own = None
        os.close(self._shared)


def _opened_lock(folder: Path) -> int:
    """For this user alone, whoever made it: who may open it could hold it, and keep this user out."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HistoryError(
            f"cannot open the history in {folder} ({error.strerror}); check its owner and the disk"
        ) from None
    with suppress(PermissionError):  # another owner's: it can be held all the same
        os.fchmod(descriptor, 0o600)
    return descriptor


def _made(path: Path) -> int:
    """A new file, held from the moment on in which others can see it: it gets its name when it is locked."""
    hidden = path.with_name(f".{path.name}")
    try:
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _lock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
    except OSError as error:
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else HistoryError
        raise kind(f"not saved: {path.parent} takes no file ({error.strerror}); check the disk") from None
    return descriptor


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
