"""What an installation or a removal will do, worked out before anything is done: changes of files, and commands around them."""

import os
import pwd
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.service.units import (
    DATA_FOLDER,
    DROP_INS,
    KEY_FILE,
    SERVICE,
    SOCKET,
    SYSUSERS,
    TMPFILES,
    WANTED_FOLDERS,
    Choice,
    Entry,
    entry_at,
    own_paths,
    wanted_entries,
)

Command = tuple[str, ...]
USER = "bedside"
_KEY_BYTES = 32
_STOP: Command = ("systemctl", "stop", SERVICE, SOCKET)
_START: Command = ("systemctl", "start", SOCKET, SERVICE)
_FORGET: Command = ("systemctl", "reset-failed", SERVICE, SOCKET)
# In this order: userdel leaves the group where it has members, groupdel --force takes it first.
_USER_GONE: tuple[Command, ...] = (("groupdel", "--force", USER), ("userdel", USER))
_RELOAD: Command = ("systemctl", "daemon-reload")
_UDEV_RELOAD: Command = ("udevadm", "control", "--reload")
_UDEV_TRIGGER: Command = (
    "udevadm", "trigger", "--action=change", "--subsystem-match=powercap", "--subsystem-match=hwmon", "--sysname-match=vcio*",
)  # fmt: skip
_WRITTEN = (f"{DATA_FOLDER}/states", f"{DATA_FOLDER}/served")
"""What the service itself writes: no data of anybody's."""
_EMPTY_FOLDERS = (
    f"{DATA_FOLDER}/libraries",
    f"{DATA_FOLDER}/models",
    DATA_FOLDER,
    DROP_INS,
    *WANTED_FOLDERS,
    str(Path(KEY_FILE).parent),
    "/run/bedside",
)


@dataclass(frozen=True)
class Change:
    """One path; None is nothing there."""

    path: str
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True)
class Plan:
    """Carried out in this order; nothing where all is as it shall be."""

    before: tuple[Command, ...] = ()
    changes: tuple[Change, ...] = ()
    folders: tuple[str, ...] = ()
    """Removed with all that is in them."""
    after: tuple[Command, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Paths that are as they shall be."""
    empty_folders: tuple[str, ...] = ()
    """Removed last, where nothing is left in them."""
    undo: tuple[Command, ...] = ()
    """Where it fails, once every file is as it was; none of them is waited for to succeed."""
    undo_folders: tuple[str, ...] = ()
    """Removed then, with all that is in them."""
    undo_empty_folders: tuple[str, ...] = ()
    """Removed last then, where nothing is left in them."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.before or self.changes or self.folders or self.after)


@dataclass(frozen=True)
class Machine:
    """Where it is done: a root folder, and which managers run there; in an image none does."""

    root: Path
    has_udev: bool
    has_user: bool
    is_image: bool

    def path(self, name: str) -> Path:
        """`name`, which begins with a slash, below the root."""
        return self.root / name.lstrip("/")


def machine_at(root: Path | None) -> Machine:
    """This machine, or the image below `root`."""
    if root is not None:
        return Machine(root.absolute(), has_udev=False, has_user=False, is_image=True)
    return Machine(Path("/"), Path("/run/udev/control").exists(), _is_user(USER), is_image=False)


def installation(machine: Machine, choice: Choice) -> Plan:
    """What makes the service as chosen of what is there. A key that is there stays. Raises StorageError."""
    wanted = wanted_entries(choice, secrets.token_urlsafe(_KEY_BYTES))
    present = _present(machine)
    wanted[KEY_FILE] = _kept_key(present.get(KEY_FILE), wanted[KEY_FILE])
    changes = tuple(
        Change(path, present.get(path), wanted.get(path))
        for path in dict.fromkeys((*wanted, *present))
        if present.get(path) != wanted.get(path)
    )
    unchanged = tuple(path for path in wanted if present.get(path) == wanted[path])
    if not changes or machine.is_image:
        return Plan(changes=changes, unchanged=unchanged)
    udev = (_UDEV_RELOAD, _UDEV_TRIGGER) if machine.has_udev else ()
    is_new = SERVICE not in _units(present)
    return Plan(
        before=() if is_new else (_STOP,),
        changes=changes,
        after=(
            ("systemd-sysusers", SYSUSERS),
            ("systemd-tmpfiles", "--create", TMPFILES),
            *udev,
            _RELOAD,
            _START,
        ),
        unchanged=unchanged,
        undo=(_STOP, _RELOAD, _FORGET, *(() if machine.has_user else _USER_GONE), *(() if is_new else (_START,))),
        undo_folders=_WRITTEN if is_new else (),
        undo_empty_folders=_EMPTY_FOLDERS if is_new else (),
    )


def removal(machine: Machine, *, purge: bool) -> Plan:
    """What takes the service away; with `purge` data, and the operator's own drop-ins. Raises StorageError."""
    present = _present(machine)
    folders = (DATA_FOLDER, DROP_INS, str(Path(KEY_FILE).parent)) if purge else _WRITTEN
    there = tuple(folder for folder in folders if machine.path(folder).exists())
    if not (present or there or machine.has_user):
        return Plan()
    is_live = not machine.is_image
    users = _USER_GONE if machine.has_user else ()
    udev = (_UDEV_RELOAD,) if machine.has_udev else ()
    return Plan(
        before=(_STOP,) if is_live and SERVICE in _units(present) else (),
        changes=tuple(Change(path, entry, None) for path, entry in present.items()),
        folders=there,
        after=(_RELOAD, *udev, *users) if is_live else (),
        empty_folders=_EMPTY_FOLDERS,
    )


def _present(machine: Machine) -> dict[str, Entry]:
    found = ((path, entry_at(machine.path(path))) for path in own_paths())
    return {path: entry for path, entry in found if entry is not None}


def _kept_key(present: Entry | None, fresh: Entry) -> Entry:
    """A key that applications know already, guarded as a new one would be."""
    return fresh if present is None or present.is_link else Entry(present.data, fresh.mode)


def _units(present: Mapping[str, Entry]) -> set[str]:
    return {os.path.basename(path) for path in present}  # noqa: PTH119


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
