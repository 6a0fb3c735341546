"""The wrapped key: who can have it, and what is said where it cannot be had."""

import json
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from assistant.errors import HistoryError, WrongPassphraseError
from assistant.history.place import database_file, history_folder, key_file
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.history.wrapping import Work, WrappedKey, unwrap, wrap
from tests.assistant.history.conftest import PASSPHRASE, QUICK, Home, talk


def rewrite(home: Home, **changed: Any) -> None:
    path = key_file(home.folder)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changed), "utf-8")


def test_passphrase_and_code_give_the_same_key(home: Home) -> None:
    assert home.vault.unlock(PASSPHRASE) == home.vault.unlock_by_code(home.code.lower()) == home.key
    assert len(home.key) == 32
    with pytest.raises(WrongPassphraseError, match="does not open the history"):
        home.vault.unlock(PASSPHRASE + "!")


def test_it_is_the_same_passphrase_on_every_keyboard(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "h", QUICK)
    key, _ = vault.create("Zu\u0308rich ﬁne 12")
    assert vault.unlock("Z\u00fcrich fine 12") == key


def test_nobody_else_may_read_it_and_nothing_in_it_tells_the_key(home: Home) -> None:
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    for file in (key_file(home.folder), database_file(home.folder)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = key_file(home.folder).read_bytes()
    assert home.key not in written
    assert home.key.hex().encode() not in written
    assert PASSPHRASE.encode() not in written


def test_a_lock_that_others_could_hold_is_closed(home: Home) -> None:
    (home.folder / ".lock").chmod(0o644)
    home.open().close()
    assert stat.S_IMODE((home.folder / ".lock").stat().st_mode) == 0o600


def test_a_folder_that_somebody_chose_keeps_its_permissions(tmp_path: Path) -> None:
    chosen = tmp_path / "shared"
    chosen.mkdir()
    chosen.chmod(0o755)
    vault = Vault(chosen, QUICK)
    key, _ = vault.create(PASSPHRASE)
    with closing(History.open(chosen, key)) as history:
        talk(history, "words")
        assert stat.S_IMODE(chosen.stat().st_mode) == 0o755
        assert {stat.S_IMODE(path.stat().st_mode) for path in chosen.iterdir()} == {0o600}


def test_a_changed_passphrase_leaves_key_and_code(home: Home) -> None:
    home.vault.change(PASSPHRASE, "another passphrase")
    assert home.vault.unlock("another passphrase") == home.vault.unlock_by_code(home.code) == home.key
    with pytest.raises(WrongPassphraseError):
        home.vault.unlock(PASSPHRASE)
    with pytest.raises(WrongPassphraseError):
        home.vault.change(PASSPHRASE, "a third passphrase")


def test_recovering_sets_both_anew(home: Home) -> None:
    key, code = home.vault.recover(home.code, "another passphrase")
    assert key == home.key == home.vault.unlock("another passphrase") == home.vault.unlock_by_code(code)
    with pytest.raises(WrongPassphraseError):
        home.vault.unlock(PASSPHRASE)
    with pytest.raises(WrongPassphraseError):
        home.vault.unlock_by_code(home.code)


@pytest.mark.parametrize(
    ("passphrase", "said"), [("seven c", "at least 8"), ("", "at least 8"), ("x" * 1025, "at most")]
)
def test_a_passphrase_that_will_not_do_makes_nothing(tmp_path: Path, passphrase: str, said: str) -> None:
    vault = Vault(tmp_path / "h", QUICK)
    with pytest.raises(HistoryError, match=said):
        vault.create(passphrase)
    assert not vault.exists
    assert not (tmp_path / "h").exists()


def test_there_is_never_a_second_key_for_a_history(home: Home) -> None:
    with pytest.raises(HistoryError, match="already"):
        home.vault.create(PASSPHRASE)
    key_file(home.folder).unlink()
    with pytest.raises(HistoryError, match="already"):
        home.vault.create(PASSPHRASE)
    assert home.vault.exists


def test_a_lost_key_file_is_said_and_nothing_takes_its_place(home: Home) -> None:
    before = database_file(home.folder).read_bytes()
    key_file(home.folder).unlink()
    said = r"key\.json is missing .*restore a backup.*nothing was changed"
    with pytest.raises(HistoryError, match=said):
        home.vault.unlock(PASSPHRASE)
    with pytest.raises(HistoryError, match=said):
        home.vault.unlock_by_code(home.code)
    assert database_file(home.folder).read_bytes() == before


def test_a_lost_database_is_said_and_nothing_takes_its_place(home: Home) -> None:
    database_file(home.folder).unlink()
    with pytest.raises(HistoryError, match=r"history\.sqlite3 is missing.*restore a backup"):
        home.open()
    assert not database_file(home.folder).exists()


def test_a_history_that_was_being_made_is_made_at_the_next_start(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "h", QUICK)
    key, _ = vault.create(PASSPHRASE)  # and the power goes before a database is there
    History.open(vault.folder, key).close()
    database_file(vault.folder).unlink()
    with pytest.raises(HistoryError, match="is missing"):
        History.open(vault.folder, key)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 60_000,
        b'{"version": 1}',
        b'{"version": 1, "key_id": 3}',
        b"{" + b" " * 70_000,
    ],
)
def test_a_damaged_key_file_is_said(home: Home, content: bytes) -> None:
    key_file(home.folder).write_bytes(content)
    with pytest.raises(HistoryError, match=r"damaged.*restore"):
        home.vault.unlock(PASSPHRASE)


def test_a_newer_key_file_is_said(home: Home) -> None:
    rewrite(home, version=2)
    with pytest.raises(HistoryError, match=r"version 2.*update Bedside"):
        home.vault.unlock(PASSPHRASE)


@pytest.mark.parametrize(
    "work", [{"n": 2**40, "r": 8, "p": 1}, {"n": 3, "r": 8, "p": 1}, {"n": 2, "r": 8}, {"n": True, "r": 1, "p": 1}]
)
def test_a_key_file_from_elsewhere_cannot_take_the_memory(home: Home, work: dict[str, int]) -> None:
    wrapped = json.loads(key_file(home.folder).read_text("utf-8"))["passphrase"]
    rewrite(home, passphrase=wrapped | {"scrypt": work})
    with pytest.raises(HistoryError, match="damaged"):
        home.vault.unlock(PASSPHRASE)


def test_what_is_sealed_for_one_purpose_serves_no_other(home: Home) -> None:
    fields = json.loads(key_file(home.folder).read_text("utf-8"))
    rewrite(home, recovery_code=fields["passphrase"], passphrase=fields["recovery_code"])
    with pytest.raises(WrongPassphraseError):
        home.vault.unlock(home.code)
    rewrite(home, **fields | {"key_id": "0" * 16})
    with pytest.raises(WrongPassphraseError):
        home.vault.unlock(PASSPHRASE)


def test_every_bit_of_what_is_sealed_counts() -> None:
    wrapped = wrap(b"k" * 32, "secret", "label", QUICK)
    for place in range(len(wrapped.sealed)):
        sealed = bytearray(wrapped.sealed)
        sealed[place] ^= 1
        with pytest.raises(WrongPassphraseError):
            unwrap(WrappedKey(QUICK, wrapped.salt, wrapped.nonce, bytes(sealed)), "secret", "label")
    assert unwrap(wrapped, "secret", "label") == b"k" * 32


def test_guessing_is_slow_unless_asked_otherwise(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "h")
    vault.create(PASSPHRASE)
    fields = json.loads(key_file(vault.folder).read_text("utf-8"))
    assert fields["passphrase"]["scrypt"] == fields["recovery_code"]["scrypt"] == {"n": 2**17, "r": 8, "p": 1}
    assert Work(n=2).n == 2


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="cannot keep a history in"):
        Vault(tmp_path / "file" / "history", QUICK).create(PASSPHRASE)


def test_its_place_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_HISTORY", str(tmp_path / "there"))
    assert history_folder() == tmp_path / "there"
    monkeypatch.delenv("BEDSIDE_HISTORY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("BEDSIDE_HOME", os.devnull)
    assert history_folder() == tmp_path / "bedside" / "history"
