"""A ZIP archive of documents, read where it lies: nothing is unpacked, so no name in it can lead anywhere."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from assistant.errors import DocumentError
from assistant.knowledge.importers.manuscript import Manuscript

MAX_MEMBERS = 100_000
MAX_TOTAL_BYTES = 1 << 30
ReadMember = Callable[[str, bytes], tuple[Manuscript, ...]]
OnMember = Callable[[str], None]
"""Told the name of each member before it is read."""


def read_archive(
    name: str,
    data: bytes,
    wanted: Callable[[PurePosixPath], bool],
    read: ReadMember,
    *,
    most_bytes: int,
    on_member: OnMember,
) -> tuple[Manuscript, ...]:
    """The documents of all members that are wanted; of one that cannot be read its fault. Raises DocumentError.

    Of a member at most one byte more than `most_bytes` is unpacked and given to `read`, which is to refuse it.
    """

    def unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> bytes:
        on_member(PurePosixPath(member.filename).name)
        with archive.open(member) as stream:
            return stream.read(min(room, most_bytes) + 1)  # what it says of its size may be wrong

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return tuple(_documents(name, archive, wanted, read, unpacked))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DocumentError(f"{name} is no archive that can be read ({error}); fetch it again") from None


def _documents(
    name: str,
    archive: zipfile.ZipFile,
    wanted: Callable[[PurePosixPath], bool],
    read: ReadMember,
    unpacked: Callable[[zipfile.ZipFile, zipfile.ZipInfo, int], bytes],
) -> Iterator[Manuscript]:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise DocumentError(f"{name} holds {len(members)} files, over {MAX_MEMBERS}; split it")
    room = MAX_TOTAL_BYTES
    for member in members:
        path = PurePosixPath(member.filename)
        if member.is_dir() or not wanted(path):
            continue
        data = unpacked(archive, member, room)
        room -= len(data)
        if room < 0:
            raise DocumentError(f"{name} unpacks to over {MAX_TOTAL_BYTES >> 20} MiB; split it")
        try:
            found = read(f"{name}: {path}", data)
        except DocumentError as error:
            found = (Manuscript((), "", fault=str(error)),)
        yield from (replace(each, name=each.name or path.stem) for each in found)
