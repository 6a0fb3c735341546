"""The files that make the service: templates with three blanks, and where each goes.

They lie in `systemd` at the top of the repository; `units` beside this module is a link to it, so that they are package data in
a checkout, an editable installation and a wheel alike.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from device.detect import BoardKind
from models.disk import storage_errors

SERVICE, SOCKET = "bedside.service", "bedside.socket"
KEY_FILE = "/etc/bedside/api-key"
DATA_FOLDER = "/var/lib/bedside"
DROP_INS = f"/etc/systemd/system/{SERVICE}.d"
_TEMPLATES = Path(__file__).parent / "units"
_PLACES = {
    "sysusers.conf": "/etc/sysusers.d/bedside.conf",
    "tmpfiles.conf": "/etc/tmpfiles.d/bedside.conf",
    "sensors.rules": "/etc/udev/rules.d/70-bedside.rules",
    SERVICE: f"/etc/systemd/system/{SERVICE}",
    SOCKET: f"/etc/systemd/system/{SOCKET}",
}
SYSUSERS, TMPFILES = _PLACES["sysusers.conf"], _PLACES["tmpfiles.conf"]
_WANTED = {SERVICE: "multi-user.target", SOCKET: "sockets.target"}
WANTED_FOLDERS = tuple(f"/etc/systemd/system/{target}.wants" for target in _WANTED.values())
_OF_BOARD: dict[BoardKind, str] = {"jetson": "jetson.conf", "jetson-jetpack4": "jetson.conf", "pi5": "pi.conf"}


@dataclass(frozen=True)
class Entry:
    """A file or a link, as it is or shall be."""

    data: bytes
    """A file's content, a link's target."""
    mode: int = 0o644
    """Who may read and write it; of a file."""
    is_link: bool = False


@dataclass(frozen=True)
class Choice:
    """What the operator has chosen, and the board that it is for."""

    python: str
    """The interpreter of the environment that is to run, by its absolute path."""
    model: str | None
    """None follows `bedside switch`."""
    port: int
    board: BoardKind


def wanted_entries(choice: Choice, key: str) -> dict[str, Entry]:
    """Every file and link of the service by its absolute path. `key` is what TCP clients must send."""
    blanks = {
        "python": choice.python,
        "model": "" if choice.model is None else f"--model {choice.model} ",
        "port": str(choice.port),
    }
    places = dict(_PLACES)
    if (drop_in := _OF_BOARD.get(choice.board)) is not None:
        places[drop_in] = _drop_in_place(drop_in)
    found = {KEY_FILE: Entry(f"{key}\n".encode(), 0o600)}
    found |= {place: Entry(_filled(name, blanks).encode()) for name, place in places.items()}
    return found | {_link(unit): Entry(os.fsencode(_PLACES[unit]), is_link=True) for unit in _WANTED}


def own_paths() -> tuple[str, ...]:
    """Where an installation for any board may have put something."""
    drop_ins = (_drop_in_place(name) for name in sorted(set(_OF_BOARD.values())))
    return (KEY_FILE, *_PLACES.values(), *drop_ins, *map(_link, _WANTED))


def entry_at(path: Path) -> Entry | None:
    """What is there now; None where nothing is. Raises StorageError where it may not be read."""
    with storage_errors(path):
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                return Entry(os.fsencode(path.readlink()), is_link=True)
            return Entry(path.read_bytes(), stat.S_IMODE(found.st_mode))
        except FileNotFoundError:
            return None


def _drop_in_place(name: str) -> str:
    return f"{DROP_INS}/50-{name}"


def _link(unit: str) -> str:
    return f"/etc/systemd/system/{_WANTED[unit]}.wants/{unit}"


def _filled(name: str, blanks: dict[str, str]) -> str:
    text = (_TEMPLATES / name).read_text("utf-8")
    for blank, value in blanks.items():
        text = text.replace(f"@{blank}@", value)
    return text
