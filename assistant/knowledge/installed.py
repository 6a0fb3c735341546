"""The libraries on this machine: the starter, the user's own, and the service's that all users may read."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from assistant.errors import DamagedLibraryError, LibraryError
from assistant.knowledge.index import Index
from assistant.knowledge.library import STARTER, is_library_name, starter_documents
from assistant.knowledge.volume import Volume
from models.store import data_folder

SUFFIX = ".sqlite3"
_SYSTEM_FOLDER = "/var/lib/bedside/libraries"
_MOST_INDEXES = 16  # clients choose among libraries: there are more choices than libraries
_Stamp = tuple[int, int, int]
T = TypeVar("T")
Names = Sequence[str] | None
"""Of libraries; None is every one that can be read."""


def user_folder() -> Path:
    """Where this user's libraries lie: `libraries` in the data folder."""
    return data_folder() / "libraries"


def system_folder() -> Path:
    """Where the service's libraries lie: `BEDSIDE_LIBRARIES`, else `/var/lib/bedside/libraries`."""
    return Path(os.environ.get("BEDSIDE_LIBRARIES") or _SYSTEM_FOLDER)


def library_file(folder: Path, name: str) -> Path:
    """The file of a library in a folder, whether or not it is there."""
    return folder / f"{name}{SUFFIX}"


def installed_files() -> dict[str, Path]:
    """The file of each library but the starter, by name; the user's own hides one of the service's of the same name."""
    found: dict[str, Path] = {}
    for folder in (system_folder(), user_folder()):
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue  # most machines have none, and another user's may not be read
        found |= {entry.stem: entry for entry in entries if entry.suffix == SUFFIX and is_library_name(entry.stem)}
    return dict(sorted(found.items()))


class Shelf:
    """Libraries that are opened when they are first asked for, and again when their file has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Path, _Stamp, Volume]] = {}
        self._damaged: dict[Path, tuple[_Stamp, str]] = {}
        self._indexes: dict[tuple[Volume, ...], Index] = {}

    def index(self, names: Names) -> Index:
        """One index over libraries as they are now. Raises LibraryError where one that is named cannot be read."""
        with self._lock:
            files = installed_files()
            self._open = {name: held for name, held in self._open.items() if name in files}
            if names is not None:
                return self._over(tuple(self._volume(name, files) for name in dict.fromkeys(names)), {})
            volumes, left_out = [_starter()], dict[str, str]()
            for name in files:
                try:
                    volumes.append(self._volume(name, files))
                except LibraryError as error:
                    left_out[name] = str(error)
            return self._over(tuple(volumes), left_out)

    def reading(self, names: Names, work: Callable[[], T]) -> T:
        """`work`, which reads these libraries; where one of all turns out to be damaged as it is read, once more without it.

        Raises LibraryError where one that is named cannot be read.
        """
        while True:
            try:
                return work()
            except DamagedLibraryError as error:
                if names is not None or not self._leave_out(error):
                    raise

    def _leave_out(self, error: DamagedLibraryError) -> bool:
        """Not to be read again before its file has changed; False where that was known."""
        path = error.path
        if path is None or path not in installed_files().values():
            return False
        with self._lock:
            stamp = _stamp(path)
            if self._is_damaged(path, stamp):
                return False
            self._damaged[path] = (stamp, str(error))
            self._open = {name: held for name, held in self._open.items() if held[0] != path}
            return True

    def _is_damaged(self, path: Path, stamp: _Stamp) -> bool:
        return path in self._damaged and self._damaged[path][0] == stamp

    def _over(self, volumes: tuple[Volume, ...], left_out: Mapping[str, str]) -> Index:
        if volumes not in self._indexes or self._indexes[volumes].left_out != left_out:
            held = {_starter(), *(volume for _, _, volume in self._open.values())}
            self._indexes = {key: index for key, index in self._indexes.items() if held.issuperset(key)}
            if len(self._indexes) >= _MOST_INDEXES:
                self._indexes.clear()
            self._indexes[volumes] = Index(volumes, left_out)
        return self._indexes[volumes]

    def _volume(self, name: str, files: dict[str, Path]) -> Volume:
        if name == STARTER:
            return _starter()
        if name not in files:
            known = ", ".join((STARTER, *files))
            raise LibraryError(f"no library named {name!r} (available: {known}); name one of these, or on or off")
        path = files[name]
        stamp = _stamp(path)
        if self._is_damaged(path, stamp):
            raise DamagedLibraryError(self._damaged[path][1], path)
        if name not in self._open or self._open[name][:2] != (path, stamp):
            self._open[name] = (path, stamp, Volume.open(name, path))
        return self._open[name][2]


@cache
def _starter() -> Volume:
    return Volume.of_documents(STARTER, starter_documents())


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise LibraryError(f"cannot read {path} ({error.strerror}); check its owner and the disk") from None
    return found.st_ino, found.st_size, found.st_mtime_ns
