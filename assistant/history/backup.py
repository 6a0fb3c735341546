"""A history as one file, as encrypted as the history itself, and back from it.

The file is an archive of the database and of its key as the passphrase and the recovery code of that time wrap it.
"""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from assistant.errors import HistoryError, WrongPassphraseError
from assistant.history import audit, database
from assistant.history.conversation import now
from assistant.history.exporting import refuse_to_overwrite
from assistant.history.place import SCRATCH, aside_folder, database_file, key_file, make_private, new_mark
from assistant.history.presence import alone
from assistant.history.recovery_code import read_recovery_code
from assistant.history.store import History
from assistant.history.vault import Vault
from models.disk import replacing, storage_errors, sync_folder

_FORMAT, _VERSION = "bedside-history-backup", 1
_ABOUT = "about.json"
_MAX_ABOUT_BYTES = 64 << 10


def back_up(history: History, folder: Path, path: Path, *, force: bool) -> None:
    """Write all that was saved, and the wrapped key, into one file that only its owner may read.

    Raises:
        HistoryError: the file exists and `force` is not given, or the history cannot be read.
        StorageError: the file cannot be written; there is none then, or the former one.
    """
    refuse_to_overwrite(path, force)
    about = {"format": _FORMAT, "version": _VERSION, "made_at": now().isoformat(timespec="seconds")}
    with replacing(path, 0o600) as temporary, _scratch(path.parent) as scratch:
        history.copy_into(database_file(scratch))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_ABOUT, json.dumps(about))
            archive.write(key_file(folder), key_file(folder).name)
            archive.write(database_file(scratch), database_file(scratch).name)
    history.record("backed up", len(history.conversations(limit=-1)))


def restore(folder: Path, path: Path, secret: str, *, force: bool) -> Path | None:
    """Put the history of a backup into the folder: where the former one is kept now, or None where there was none.

    It is opened and checked as a whole before anything is replaced; `secret` is its passphrase or its recovery code.

    Raises:
        WrongPassphraseError: the secret is that of another time or of another history.
        HistoryError: it is no backup or damaged, there is a history and `force` is not given, or a terminal has it open.
    """
    if Vault(folder).exists and not force:
        raise HistoryError(f"there is a history in {folder} already; with --force it is kept aside and replaced")
    make_private(folder)
    with storage_errors(folder), _scratch(folder) as scratch:
        _unpack(path, scratch)
        _check(scratch, secret, path)
        with alone(folder):
            return _put_in_place(scratch, folder)


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """A folder of one's own that goes with the block; what is put into it is encrypted."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=parent) as name:
        yield Path(name)


def _unpack(path: Path, scratch: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_about(archive)
            for target in (key_file(scratch), database_file(scratch)):
                _unpack_one(archive, target)
    except FileNotFoundError:
        raise HistoryError(f"no file {path}; check its name") from None
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise HistoryError(f"{path} is no backup of a history, or damaged ({error}); take another one") from None


def _check_about(archive: zipfile.ZipFile) -> None:
    with archive.open(_ABOUT) as stream:
        fields = json.loads(stream.read(_MAX_ABOUT_BYTES))
    if not isinstance(fields, dict) or (fields.get("format"), fields.get("version")) != (_FORMAT, _VERSION):
        raise KeyError(f"format and version are not {_FORMAT} {_VERSION}")


def _unpack_one(archive: zipfile.ZipFile, target: Path) -> None:
    member = archive.getinfo(target.name)
    if member.compress_type != zipfile.ZIP_STORED:  # what is encrypted is not compressed: it cannot unfold to more
        raise KeyError(f"{target.name} is compressed")
    with archive.open(member) as source, target.open("xb") as copy:
        target.chmod(0o600)
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())


def _check(scratch: Path, secret: str, path: Path) -> None:
    key = _key(Vault(scratch), secret)
    with database.refusals(path), closing(database.open_file(database_file(scratch), key)) as connection:
        if faults := database.faults(connection):
            raise HistoryError(f"{path} is damaged ({faults[0]}); take another backup")
        audit.record(connection, "restored", 1)


def _key(vault: Vault, secret: str) -> bytes:
    try:
        return vault.unlock(secret)
    except WrongPassphraseError:
        try:
            code = read_recovery_code(secret)
        except WrongPassphraseError:
            pass
        else:
            return vault.unlock_by_code(code)
        raise


def _put_in_place(scratch: Path, folder: Path) -> Path | None:
    """There is a key at every moment: whoever looks in between is told that the database is missing."""
    aside = _keep_aside(folder) if Vault(folder).exists else None
    key_file(scratch).replace(key_file(folder))
    database_file(scratch).replace(database_file(folder))
    new_mark(folder).unlink(missing_ok=True)
    sync_folder(folder)
    return aside


def _keep_aside(folder: Path) -> Path:
    aside = aside_folder(folder, now())
    make_private(aside)
    if key_file(folder).exists():
        shutil.copy2(key_file(folder), aside)
    path = database_file(folder)
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        if file.exists():
            file.rename(aside / file.name)
    sync_folder(aside)
    return aside
