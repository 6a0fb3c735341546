"""The key of a history, wrapped by the passphrase and by the recovery code: `key.json` in its folder.

The passphrase is not the key: changing it wraps the same random key anew, and the database stays as it is.
"""

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import HistoryError, WrongPassphraseError
from assistant.history.place import database_file, key_file, new_mark, refused_file
from assistant.history.presence import alone
from assistant.history.recovery_code import new_recovery_code, read_recovery_code
from assistant.history.wrapping import KEY_BYTES, Work, WrappedKey, unwrap, wrap
from models.disk import write_atomically

MIN_PASSPHRASE_LENGTH = 8
_MAX_PASSPHRASE_LENGTH = 1024
_MAX_FILE_BYTES = 64 << 10
_VERSION = 1


@dataclass(frozen=True)
class _Keys:
    """What stands in the file."""

    key_id: str
    by_passphrase: WrappedKey
    by_recovery_code: WrappedKey


class Vault:
    """The wrapped key in a folder. It holds no database open; `work` is what it wraps with, not what it reads."""

    def __init__(self, folder: Path, work: Work = Work()) -> None:  # noqa: B008  (frozen)
        self.folder = folder
        self._work = work
        self._known: _Keys | None = None
        """As it was last unlocked or written: who did that is known again after the disk has gone."""

    @property
    def exists(self) -> bool:
        """Whether a history is or was here: its key or its database."""
        return _is_there(key_file(self.folder)) or _is_there(database_file(self.folder))

    @property
    def can_unlock(self) -> bool:
        """Whether a passphrase can be checked: the key file is readable, or was when it was unlocked by this vault."""
        try:
            self._read_or_known()
        except HistoryError:
            return False
        return True

    def require(self) -> None:
        """Raise HistoryError where there is no key that could be unlocked."""
        self._read()

    @property
    def key_id(self) -> str:
        """Which key it is; says nothing about the key itself. Raises HistoryError."""
        return self._read().key_id

    def create(self, passphrase: str) -> tuple[bytes, str]:
        """A new random key, and the recovery code, which is kept nowhere.

        Raises:
            HistoryError: there is a history already, the passphrase is too short, or the folder cannot be written.
        """
        secret = check_passphrase(passphrase)
        with alone(self.folder):
            if self.exists:
                raise HistoryError(f"there is a history in {self.folder} already; unlock it, or move it away first")
            write_atomically(new_mark(self.folder), b"", mode=0o600)
            key = secrets.token_bytes(KEY_BYTES)
            return key, self._write(key, secret)

    def unlock(self, passphrase: str) -> bytes:
        """The key. Raises WrongPassphraseError, or HistoryError where the key file cannot be used."""
        return self._unlock(self._read(), passphrase)

    def unlock_again(self, passphrase: str) -> bytes:
        """The key, where the key file cannot be used any more by what it was when this vault unlocked or wrote it."""
        return self._unlock(self._read_or_known(), passphrase)

    def _unlock(self, keys: _Keys, passphrase: str) -> bytes:
        with self._counting_refusals():
            key = unwrap(keys.by_passphrase, _normal(passphrase), _label("passphrase", keys.key_id))
        self._known = keys
        return key

    def unlock_by_code(self, code: str) -> bytes:
        """The key. Raises WrongPassphraseError, or HistoryError where the key file cannot be used."""
        keys = self._read()
        with self._counting_refusals():
            return unwrap(keys.by_recovery_code, read_recovery_code(code), _label("recovery code", keys.key_id))

    def recover(self, code: str, new_passphrase: str) -> tuple[bytes, str]:
        """Set a new passphrase by the recovery code: the key, and a new code; the former one is worth nothing then."""
        secret = check_passphrase(new_passphrase)
        key = self.unlock_by_code(code)
        return key, self._write(key, secret)

    def change(self, old: str, new: str) -> None:
        """Set another passphrase; the recovery code stays. Raises as `unlock` and `create`."""
        secret = check_passphrase(new)
        key, keys = self.unlock(old), self._read()
        self._save(_Keys(keys.key_id, self._wrapped(key, secret, "passphrase"), keys.by_recovery_code))

    def _write(self, key: bytes, secret: str) -> str:
        code = new_recovery_code()
        self._save(
            _Keys(_key_id(key), self._wrapped(key, secret, "passphrase"), self._wrapped(key, code, "recovery code"))
        )
        return code

    def _wrapped(self, key: bytes, secret: str, purpose: str) -> WrappedKey:
        return wrap(key, secret, _label(purpose, _key_id(key)), self._work)

    def _save(self, keys: _Keys) -> None:
        fields = {
            "version": _VERSION,
            "key_id": keys.key_id,
            "passphrase": keys.by_passphrase.as_json(),
            "recovery_code": keys.by_recovery_code.as_json(),
        }
        write_atomically(key_file(self.folder), json.dumps(fields, indent=2).encode(), mode=0o600)
        self._known = keys

    def _read_or_known(self) -> _Keys:
        try:
            return self._read()
        except HistoryError:
            if self._known is None:
                raise
            return self._known

    def _read(self) -> _Keys:
        path = key_file(self.folder)
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            raise self._missing(path) from None
        except OSError as error:
            raise HistoryError(f"cannot read {path} ({error.strerror}); check its owner and the disk") from None
        try:
            return _keys_of(json.loads(data))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise HistoryError(
                f"{path} is damaged ({error}) and without it the history cannot be read; restore it from a backup: "
                f"bedside history restore FILE --force"
            ) from None

    def _missing(self, path: Path) -> HistoryError:
        database = database_file(self.folder)
        if not database.exists():
            return HistoryError(f"no history in {self.folder}; set a passphrase first: bedside history passphrase")
        return HistoryError(
            f"{path} is missing and {database} cannot be read without it; put it back, or restore a backup "
            f"(bedside history restore FILE --force); nothing was changed"
        )

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        """Leave a byte for each wrong passphrase; the history that opens next notes how many there were."""
        try:
            yield
        except WrongPassphraseError:
            with suppress(OSError), refused_file(self.folder).open("ab") as stream:
                stream.write(b".")
            raise


def check_passphrase(passphrase: str) -> str:
    """The passphrase as it is used, whichever keyboard wrote it. Raises HistoryError where it is too short or too long."""
    secret = _normal(passphrase)
    if len(secret) < MIN_PASSPHRASE_LENGTH:
        raise HistoryError(
            f"a passphrase needs at least {MIN_PASSPHRASE_LENGTH} characters: shorter ones are guessed by whoever "
            f"takes the disk; several words are easy to remember"
        )
    if len(secret) > _MAX_PASSPHRASE_LENGTH:
        raise HistoryError(f"a passphrase has at most {_MAX_PASSPHRASE_LENGTH} characters; give a shorter one")
    return secret


def _is_there(path: Path) -> bool:
    """True as well of what cannot be looked at: a failing disk is no reason to begin a new history."""
    try:
        return path.exists()
    except OSError:
        return True


def _normal(passphrase: str) -> str:
    return unicodedata.normalize("NFKC", passphrase)


def _keys_of(fields: Any) -> _Keys:
    if fields["version"] != _VERSION:
        raise HistoryError(
            f"the key file has version {fields['version']!r} and this Bedside reads {_VERSION}; update Bedside"
        )
    key_id = fields["key_id"]
    if not isinstance(key_id, str):
        raise TypeError("key_id is no text")
    return _Keys(key_id, WrappedKey.from_json(fields["passphrase"]), WrappedKey.from_json(fields["recovery_code"]))


def _key_id(key: bytes) -> str:
    return hmac.new(key, b"bedside history: key identifier", hashlib.sha256).hexdigest()[:16]


def _label(purpose: str, key_id: str) -> str:
    """Bound to what is sealed, so that neither entries nor files can be exchanged unnoticed."""
    return f"bedside history {_VERSION} {purpose} {key_id}"
