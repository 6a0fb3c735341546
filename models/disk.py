"""Writing model files so that nothing is half-written: atomic replacement, copies that hash, room checked first."""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from models.errors import StorageError

CHUNK_BYTES = 1 << 20
_LOOK_AGAIN_S = 0.1
SPARE_BYTES = 64 << 20  # left free: a full disk harms more than a missing model

# Called with a file's name and the bytes done since the last call.
Progress = Callable[[str, int], None]
FreeSpace = Callable[[Path], int]


def no_progress(name: str, done_bytes: int) -> None:
    """A `Progress` that shows nothing."""


def free_space(folder: Path) -> int:
    """Bytes that this user may still write on the disk of `folder` (which need not exist yet)."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed_bytes: int, free: FreeSpace) -> None:
    """Refuse work for which the disk has no room.

    Raises:
        StorageError: with what is needed and what is free.
    """
    available = free(folder)
    if needed_bytes and needed_bytes + SPARE_BYTES > available:
        needed, left = show_bytes(needed_bytes + SPARE_BYTES), show_bytes(available)
        raise StorageError(
            f"not enough room in {folder}: {needed} needed, {left} free; free some or set BEDSIDE_HOME to another disk"
        )


def show_bytes(count: int) -> str:
    """A size for people: `4.66 GiB`."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to read or write `path` into `StorageError` with a remedy."""
    try:
        yield
    except OSError as error:
        raise StorageError(_refusal(error.filename or path, error)) from None


def _refusal(path: object, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk of {path} is full ({error.strerror}): free some, then run the command again"
    if error.errno == errno.EROFS:
        return f"the disk of {path} can only be read: mount it for writing, or choose another folder (BEDSIDE_HOME for models)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission for {path}: check its owner, or choose another folder (BEDSIDE_HOME for models)"
    if error.errno == errno.ENOENT:
        return f"cannot write {path}: {error.strerror}; create its folder first"
    return f"{path}: {error.strerror or error}; check the disk, then run the command again"


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(target: Path, mode: int = 0o666) -> Iterator[Path]:
    """A temporary file beside `target`; synced, it takes `target`'s place when the block ends well.

    `mode` is who may read and write it, from its first byte on; the umask takes from it as ever.

    Raises:
        StorageError: the folder may not be written or the disk is full; nothing is left behind then.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    with storage_errors(target):
        try:
            temporary.touch(mode, exist_ok=False)
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(target)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Replace `path` by `data`, or leave it as it was."""
    with replacing(path, mode) as temporary:
        temporary.write_bytes(data)


def hash_file(path: Path, on_progress: Progress = no_progress) -> str:
    """sha256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            on_progress(path.name, len(chunk))
    return digest.hexdigest()


def copy_hashed(source: Path, target: Path, on_progress: Progress = no_progress) -> str:
    """Copy a file, durably, and return the sha256 of what was copied; a failed copy leaves no `target`."""
    digest = hashlib.sha256()
    with storage_errors(target):
        try:
            with source.open("rb") as reader, target.open("wb") as writer:
                while chunk := reader.read(CHUNK_BYTES):
                    writer.write(chunk)
                    digest.update(chunk)
                    on_progress(source.name, len(chunk))
                writer.flush()
                os.fsync(writer.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return digest.hexdigest()


@contextmanager
def only_writer(folder: Path, wait_s: float = 0.0, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold `folder` for one process; the lock goes with the process, however it ends.

    Another process that holds it is waited for so long; `on_wait` is called once where that is so.

    Raises:
        StorageError: another process holds it still, or it cannot be made.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / ".lock").open("wb")
    try:
        if not _locked(stream) and wait_s > 0.0:
            on_wait()
            until = time.monotonic() + wait_s
            while not _locked(stream) and time.monotonic() < until:
                time.sleep(_LOOK_AGAIN_S)
        if not _locked(stream):
            raise StorageError(f"another process is writing {folder}: wait for it to end")
        yield
    finally:
        stream.close()


def _locked(stream: IO[bytes]) -> bool:
    """Whether the file is locked by this process now; it may be already."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def ended_by_sigterm_too() -> Iterator[None]:
    """`timeout` and systemd end the block as Ctrl-C does, so that it takes away what it has half written."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
