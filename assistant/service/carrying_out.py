"""A plan carried out: whole, or undone."""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from assistant.errors import ServiceError
from assistant.plaintext import plain_line
from assistant.service.manager import run
from assistant.service.plan import Change, Command, Machine, Plan
from assistant.service.units import SERVICE, SOCKET, Entry
from models.disk import replacing, storage_errors, sync_folder
from models.errors import BedsideError


def carry_out(plan: Plan, machine: Machine) -> None:
    """Commands, files, commands. Where one fails every file is as it was. Raises ServiceError and StorageError."""
    done: list[Change] = []
    made: list[Path] = []
    try:
        _run_all(plan.before)
        for change in plan.changes:
            made += _make_folder(machine.path(change.path).parent)
            done.append(change)
            _put(machine.path(change.path), change.after)
        _run_all(plan.after)
    except BaseException:
        _undo(plan, machine, done, made)
        raise
    for name in plan.folders:
        with storage_errors(machine.path(name)):
            shutil.rmtree(machine.path(name))
    _remove_empty([machine.path(name) for name in plan.empty_folders])


def _undo(plan: Plan, machine: Machine, done: Sequence[Change], made: Sequence[Path]) -> None:
    """As far as that can be: the first fault is the one to tell."""
    for change in reversed(done):
        with suppress(BedsideError):
            _put(machine.path(change.path), change.before)
    for command in plan.undo:
        with suppress(ServiceError):
            run(command)
    for name in plan.undo_folders:
        shutil.rmtree(machine.path(name), ignore_errors=True)
    _remove_empty([machine.path(name) for name in plan.undo_empty_folders])
    _remove_empty(made[::-1])


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something is left in it, or it is not there
            folder.rmdir()


def _run_all(commands: Sequence[Command]) -> None:
    for command in commands:
        started = time.time()
        try:
            run(command)
        except ServiceError as error:
            if command[:2] != ("systemctl", "start"):
                raise
            raise ServiceError(f"the service does not start: {_reason(started) or error}") from error


def _reason(since: float) -> str:
    """The last fault that the journal has of the two units; empty where it tells none."""
    journal = (
        "journalctl",
        "--quiet",
        "--output=cat",
        f"--since=@{int(since)}",
        f"--unit={SERVICE}",
        f"--unit={SOCKET}",
    )
    with suppress(ServiceError):
        run(("journalctl", "--sync"))
        lines = [plain_line(line) for line in run(journal).splitlines()]
        own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if own:
            return own[-1]
        failed = next((line for line in lines if "Failed to " in line), "")
        return f"{failed}; give another --port" if failed.endswith("Address already in use") else failed
    return ""


def _make_folder(folder: Path) -> list[Path]:
    """Those that were made, outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for each in missing:
            each.chmod(0o755)  # whatever the umask of root is, systemd and the service have to find their way
    return missing[::-1]


def _put(path: Path, entry: Entry | None) -> None:
    """`entry` in the place of what is there, in one step."""
    if entry is None:
        with storage_errors(path):
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
    elif entry.is_link:
        with storage_errors(path):
            temporary = path.with_name(f".{path.name}.partial")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(os.fsdecode(entry.data))
            temporary.replace(path)
    else:
        with replacing(path, entry.mode) as temporary:
            temporary.write_bytes(entry.data)
            temporary.chmod(entry.mode)
