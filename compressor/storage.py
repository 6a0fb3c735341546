"""Writes that are whole or absent, and disk errors as one line."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into StorageError; other errors pass."""
    try:
        yield
    except OSError as error:
        # numpy reports a short write without an error number.
        number = errno.ENOSPC if error.errno is None and "requested and" in str(error) else error.errno
        raise _storage_error(path, number, error) from error
    except SafetensorError as error:
        number = next((code for code in _FULL | _FORBIDDEN if f"os error {code}" in str(error)), None)
        if number is None:
            raise
        raise _storage_error(path, number, error) from error


def _storage_error(path: Path, number: int | None, error: Exception) -> StorageError:
    if number in _FULL:
        return StorageError(f"no space left while writing {path}; free some and run the same command to continue")
    if number in _FORBIDDEN:
        return StorageError(f"{path} may not be written; choose another --out or correct its permissions")
    return StorageError(f"{path} cannot be read or written ({error}); check the disk and run the same command again")


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place. Raises StorageError."""
    partial = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            # safetensors makes its files private to the user; these are meant to be shared like any other.
            partial.chmod(0o666 & ~_umask())
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file atomically. Raises StorageError."""

    def write(partial: Path) -> None:
        partial.write_text(text, "utf-8")

    write_atomic(path, write)


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically. Raises StorageError."""
    ready = {name: tensors[name].detach().contiguous() for name in sorted(tensors)}
    write_atomic(path, lambda partial: save_file(ready, partial, metadata=metadata))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors of a file that `save_tensors` wrote, and its metadata. Raises StorageError where it is damaged."""
    try:
        with safe_open(path, framework="pt") as handle:
            return {name: handle.get_tensor(name) for name in handle.keys()}, dict(handle.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise StorageError(f"{path} is damaged ({error}); delete it and run the same command again") from error


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]] | None:
    """What an interrupted walk left, or None: one that is damaged is no loss but of time, so it is begun again."""
    try:
        return load_tensors(path) if path.is_file() else None
    except StorageError:
        path.unlink()
        return None
