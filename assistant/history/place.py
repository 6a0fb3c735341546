"""Where a person's history lies, and the names of its files."""

import os
import stat
from datetime import datetime
from pathlib import Path

import platformdirs

from assistant.errors import HistoryError

_DATABASE = "history.sqlite3"
_KEY_FILE = "key.json"
_NEW = "new"
_ASIDE, _OLDER = "replaced-", ".format-"
SCRATCH = ".restoring-"
"""How the names of folders begin in which something is put together."""
_REFUSED = "refused"


def history_folder() -> Path:
    """`BEDSIDE_HISTORY`, else `history` in this user's data folder: never the folder of models, which many may share."""
    chosen = os.environ.get("BEDSIDE_HISTORY")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("bedside") / "history"


def database_file(folder: Path) -> Path:
    """The encrypted database."""
    return folder / _DATABASE


def key_file(folder: Path) -> Path:
    """The database's key, wrapped by the passphrase and by the recovery code."""
    return folder / _KEY_FILE


def new_mark(folder: Path) -> Path:
    """Here from before there is a key until there is a database: only then may an absent database be made."""
    return folder / _NEW


def refused_file(folder: Path) -> Path:
    """One byte for each wrong passphrase since the history was last opened."""
    return folder / _REFUSED


def aside_folder(folder: Path, time: datetime) -> Path:
    """Where a history is kept that another one took the place of."""
    return folder / f"{_ASIDE}{time:%Y%m%dT%H%M%S%fZ}"


def former_copies(folder: Path) -> list[Path]:
    """What else is here that holds conversations: histories that were kept aside, and databases of older formats."""
    return [*folder.glob(f"{_ASIDE}*"), *folder.glob(f"{_DATABASE}{_OLDER}*"), *folder.glob(f"{SCRATCH}*")]


def older_file(folder: Path, version: int) -> Path:
    """The database as it was before it became one of a newer format."""
    return folder / f"{_DATABASE}{_OLDER}{version}"


def open_to_others(folder: Path) -> str | None:
    """That others may look into the folder, and what closes it; None where they may not.

    It is said and not mended: somebody chose the folder, and other things of theirs may be in it.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & 0o077:
        return None
    return f"others may look into {folder} (mode {mode:o}), though not read the history; close it: chmod 700 {folder}"


def make_private(folder: Path) -> None:
    """Make the folder, open to nobody but its owner; one that is there stays as it is. Raises HistoryError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HistoryError(
            f"cannot keep a history in {folder} ({error.strerror}); check its owner and the disk, or set BEDSIDE_HISTORY"
        ) from None
