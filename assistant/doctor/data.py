"""What lies on the disk: room for it, libraries, the history, and who may look into them."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from assistant.errors import DamagedLibraryError
from assistant.history.place import database_file, history_folder, key_file, open_to_others
from assistant.knowledge.checking import find_faults
from assistant.knowledge.installed import installed_files
from assistant.knowledge.library import STARTER, starter_documents
from assistant.knowledge.volume import Volume
from models.disk import SPARE_BYTES, show_bytes
from models.store import Store, data_folder

_LITTLE_BYTES = 1 << 30
_CHECKED_BYTES = 16 << 20
"""A larger library takes longer to check text by text than a report may take."""
_ELSEWHERE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.rclone", "davfs")
_SYNCED = ("Dropbox", "OneDrive", "Nextcloud", "ownCloud", "Google Drive", "GoogleDrive", "pCloudDrive", "MEGA", "Sync")
_SYNC_MARKS = (".stfolder", ".dropbox", ".dropbox.cache", ".owncloudsync.log", ".nextcloudsync.log")
_OWN_DISK = "keep it on a disk of this machine that nothing copies away; name its folder\nexport BEDSIDE_HISTORY=FOLDER"


def check_disk(machine: Machine) -> list[Line]:
    """Room where models, libraries, kept prompts and the history are written; one line for each disk."""
    by_disk: dict[int, list[Path]] = {}
    for folder in (data_folder(), history_folder()):
        there = _existing(folder)
        by_disk.setdefault(there.stat().st_dev, []).append(there)
    return [_disk(folders[0]) for folders in by_disk.values()]


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _disk(folder: Path) -> Line:
    found = os.statvfs(folder)
    if found.f_flag & os.ST_RDONLY:
        remedy = f"see why, then remount it\nfindmnt -T {folder}"
        return fault("Disk", f"{folder} lies on a disk that is mounted read-only", remedy)
    if not os.access(folder, os.W_OK):
        return fault("Disk", f"{folder} cannot be written by this user", f"see who owns it\nls -ld {folder}")
    no_files_left = bool(found.f_files) and not found.f_favail
    return judge_room(folder, 0 if no_files_left else shutil.disk_usage(folder).free)


def judge_room(folder: Path, free_bytes: int) -> Line:
    """What so many bytes are worth on the disk of a folder."""
    shown = f"{show_bytes(free_bytes)} free in {folder}"
    room = f"free some: `bedside models list` shows what models take\ndf -h {folder}"
    if free_bytes < SPARE_BYTES:
        return fault("Disk", f"{shown}: nothing more can be saved", room)
    if free_bytes < _LITTLE_BYTES:
        return warning("Disk", f"{shown}: too little for a model, and soon for a history", room)
    return ok("Disk", shown)


def check_libraries(machine: Machine) -> list[Line]:
    """Each library: whether it opens, and its texts are as they were written."""
    lines = [ok("Libraries", f"{STARTER}: {len(starter_documents())} documents, part of the program")]
    return lines + [_library(name, path) for name, path in installed_files().items()]


def _library(name: str, path: Path) -> Line:
    remedy = f"see what is wrong, and what mends it\nbedside knowledge verify {name}"
    try:
        volume = Volume.open(name, path)
        shown = f"{name}: {volume.counts['document_words']} documents, version {volume.version}"
        if path.stat().st_size > _CHECKED_BYTES:
            return ok("Libraries", f"{shown}; not read through now: bedside knowledge verify {name}")
        faults = find_faults(path)
    except DamagedLibraryError as error:
        return fault("Libraries", f"{name}: {error}", remedy)
    if faults:
        return fault("Libraries", f"{name}: {faults[0]}", remedy)
    return ok("Libraries", f"{shown}, every text as written")


def check_history(machine: Machine) -> list[Line]:
    """Where conversations are kept: who may look, and whether something could carry them away. Nothing is opened."""
    name, folder = "History", history_folder()
    if not database_file(folder).exists():
        kept = "conversations are in memory only, until a passphrase is set"
        return list(_carried_away(name, folder, machine)) or [ok(name, kept)]
    troubles = [*_open_files(name, folder), *_carried_away(name, folder, machine)]
    return troubles or [ok(name, f"encrypted, in {folder}, which no other user may look into")]


def _open_files(name: str, folder: Path) -> Iterator[Line]:
    if told := open_to_others(folder):
        found, _, remedy = told.partition("; close it: ")
        yield warning(name, found, f"close it\n{remedy}")
    for path in (database_file(folder), key_file(folder)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        if mode & 0o077:
            yield fault(name, f"others may read {path} (mode {mode:o})", f"close it\nchmod 600 {path}")
    if not _is_encrypted(database_file(folder)):
        remedy = "move it away, and set a passphrase\nbedside history passphrase"
        yield fault(name, f"{database_file(folder)} is not encrypted", remedy)


def _is_encrypted(database: Path) -> bool:
    """A plain database begins with its format's name; what SQLCipher writes begins with random bytes."""
    try:
        with database.open("rb") as stream:
            return not stream.read(16).startswith(b"SQLite format 3")
    except OSError:
        return True  # another user's: nothing is known, and nothing can be said against it


def _carried_away(name: str, folder: Path, machine: Machine) -> Iterator[Line]:
    place = _existing(folder).resolve()
    kind = _file_system(machine, place)
    if kind in _ELSEWHERE:
        yield warning(name, f"{folder} lies on a disk of another machine ({kind})", _OWN_DISK)
    for each in (place, *place.parents):
        if each.name in _SYNCED or any((each / mark).exists() for mark in _SYNC_MARKS):
            yield warning(name, f"{each} looks like a folder that is copied to other machines", _OWN_DISK)
            return


def _file_system(machine: Machine, place: Path) -> str:
    """The kind of the file system that a path lies on; empty where that is not told."""
    best, kind = "", ""
    for line in (machine.read("/proc/self/mountinfo") or "").splitlines():
        before, _, behind = line.partition(" - ")
        point = before.split()[4] if len(before.split()) > 4 else ""
        if point and place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, behind.split()[0] if behind else ""
    return kind


def check_store(machine: Machine) -> list[Line]:
    """Models that are half-fetched or damaged: they take room and answer nothing."""
    unfinished = Store().unfinished()
    if not unfinished:
        return []
    named = ", ".join(unfinished[:3])
    remedy = f"get it again, or remove it\nbedside models remove {unfinished[0]}"
    return [warning("Models", f"half-fetched or damaged: {named}", remedy)]
