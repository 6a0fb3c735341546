"""One file from the Hub onto the disk: resumed by any later process, checked against the Hub's checksum, then renamed.

`huggingface_hub` starts a broken download again in the next process and checks no more than its size, so the bytes are
fetched here: appended to `<name>.partial`, which survives the process, then hashed, synced and renamed.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from models.disk import CHUNK_BYTES, Progress, hash_file, no_progress, storage_errors, sync_folder
from models.errors import DownloadError
from models.hub import ConnectionLost, Hub, Listing, RemoteFile
from models.store import StoredFile

RETRY_DELAYS_S = (0.5, 2.0, 5.0, 15.0)


def partial_path(folder: Path, name: str) -> Path:
    """Where a file lies while it is being fetched."""
    return folder / f"{name}.partial"


def fetch_file(
    hub: Hub,
    listing: Listing,
    file: RemoteFile,
    folder: Path,
    *,
    on_progress: Progress = no_progress,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
) -> StoredFile:
    """Fetch one file into `folder`, going on where an earlier attempt of any process stopped.

    Raises:
        DownloadError: the connection stayed lost (what came is kept), or the bytes are not what the Hub's checksum says
            (what came is deleted).
        StorageError: the disk refuses (what came is kept).
    """
    partial = partial_path(folder, file.name)
    with storage_errors(partial):
        have = partial.stat().st_size if partial.exists() else 0
    if have > file.size_bytes:
        partial.unlink()
        have = 0
    on_progress(file.name, have)
    delays = list(retry_delays_s)
    while have < file.size_bytes or not partial.exists():
        try:
            _append(hub, listing, file, partial, on_progress)
        except ConnectionLost:
            now = partial.stat().st_size if partial.exists() else 0
            delays = list(retry_delays_s) if now > have else delays
            if not delays:
                raise
            time.sleep(delays.pop(0))
        have = partial.stat().st_size if partial.exists() else 0
    return _accept(file, partial, folder / file.name)


def _append(hub: Hub, listing: Listing, file: RemoteFile, partial: Path, on_progress: Progress) -> None:
    """Append what one connection delivers; a server that ignores the offset makes it begin again."""
    with storage_errors(partial):
        have = partial.stat().st_size if partial.exists() else 0
    with hub.open_from(listing, file.name, have) as body:
        with storage_errors(partial):
            stream = partial.open("r+b" if have else "wb", buffering=0)
        with stream:
            if body.start != have:
                if body.start:
                    raise DownloadError(f"the server sent {file.name} from byte {body.start}, not {have}: try again")
                stream.truncate(0)
                on_progress(file.name, -have)
            stream.seek(body.start)
            for chunk in body.chunks:
                if stream.tell() + len(chunk) > file.size_bytes:
                    raise DownloadError(f"the server sent more than the {file.size_bytes} bytes of {file.name}")
                with storage_errors(partial):
                    _write_all(stream, chunk)
                on_progress(file.name, len(chunk))
            received = stream.tell()
    if received < file.size_bytes:
        raise ConnectionLost(
            f"the server closed {file.name} after {received} of {file.size_bytes} bytes: run this again"
        )


def _write_all(stream: FileIO, data: bytes) -> None:
    """Write unbuffered, so that a full disk is met here and not when the file is closed; such writes may be short."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def stored_copy(file: RemoteFile, path: Path) -> StoredFile | None:
    """The file at `path` as the store records it, if it is what the Hub describes; else None."""
    with storage_errors(path):
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            return None
    sha256 = hash_file(path)
    good = sha256 == file.sha256 if file.sha256 else git_blob_sha1(path) == file.git_sha1
    return StoredFile(file.name, file.size_bytes, sha256) if good else None


def git_blob_sha1(path: Path) -> str:
    """The name that git gives a file's content, which the Hub states for files that are not in LFS."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with storage_errors(path), path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _accept(file: RemoteFile, partial: Path, target: Path) -> StoredFile:
    """Check a complete download and give it its name; a wrong one is deleted, so that the next run begins afresh."""
    stored = stored_copy(file, partial)
    if stored is None:
        partial.unlink()
        raise DownloadError(f"{file.name} arrived with the wrong checksum and was deleted: run the command again")
    with storage_errors(target):
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.replace(target)
        sync_folder(target.parent)
    return stored
