"""A backup is as encrypted as the history, and takes its place only when all of it is as it was written."""

import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import HistoryError, WrongPassphraseError
from assistant.history import database
from assistant.history.backup import back_up, restore
from assistant.history.place import database_file, key_file, older_file
from assistant.history.vault import Vault
from models.errors import BedsideError
from tests.assistant.history.conftest import PASSPHRASE, PATIENT, Home, talk


@pytest.fixture
def saved(home: Home, tmp_path: Path) -> Path:
    """A backup of a history of one conversation."""
    with closing(home.open()) as history:
        talk(history, "Sprained ankle, xylophone")
        back_up(history, home.folder, tmp_path / "backup", force=False)
    return tmp_path / "backup"


def titles(home: Home) -> list[str]:
    with closing(home.open()) as history:
        assert history.faults() == []
        return [each.title for each in history.conversations(-1)]


def test_it_is_one_encrypted_file_of_its_owner(saved: Path) -> None:
    assert b"xylophone" not in saved.read_bytes()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert sorted(path.name for path in saved.parent.iterdir()) == ["backup", "history"]


def test_it_is_made_while_a_terminal_writes(home: Home, tmp_path: Path) -> None:
    with closing(home.open()) as history, closing(home.open()) as other:
        talk(other, "first")
        back_up(history, home.folder, tmp_path / "backup", force=False)
        talk(other, "second")
    restore(home.folder, tmp_path / "backup", PASSPHRASE, force=True)
    assert titles(home) == ["first"]


@pytest.mark.parametrize("by", ["passphrase", "code"])
def test_it_opens_on_another_machine(home: Home, saved: Path, tmp_path: Path, by: str) -> None:
    folder = tmp_path / "elsewhere" / "history"
    secret = PASSPHRASE if by == "passphrase" else home.code.lower()
    assert restore(folder, saved, secret, force=False) is None
    restored = Home(Vault(folder), Vault(folder).unlock(PASSPHRASE), home.code)
    assert titles(restored) == ["Sprained ankle, xylophone"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (key_file(folder), database_file(folder))} == {0o600}


def test_what_is_there_is_replaced_when_asked_and_kept_aside(home: Home, saved: Path) -> None:
    with closing(home.open()) as history:
        talk(history, "later")
    with pytest.raises(HistoryError, match="already; with --force it is kept aside"):
        restore(home.folder, saved, PASSPHRASE, force=False)
    assert titles(home) == ["later", "Sprained ankle, xylophone"]
    aside = restore(home.folder, saved, PASSPHRASE, force=True)
    assert titles(home) == ["Sprained ankle, xylophone"]
    assert aside is not None
    assert titles(Home(Vault(aside), home.key, "")) == ["later", "Sprained ankle, xylophone"]
    with closing(home.open()) as history:
        assert "restored" in [event.what for event in history.events(5)]


@pytest.mark.parametrize("lost", [key_file, database_file])
def test_it_mends_what_was_lost(home: Home, saved: Path, lost: Callable[[Path], Path]) -> None:
    lost(home.folder).unlink()
    restore(home.folder, saved, PASSPHRASE, force=True)
    assert titles(home) == ["Sprained ankle, xylophone"]


def test_it_opens_as_at_its_time(home: Home, saved: Path) -> None:
    home.vault.change(PASSPHRASE, "another passphrase")
    with pytest.raises(WrongPassphraseError):
        restore(home.folder, saved, "another passphrase", force=True)
    restore(home.folder, saved, PASSPHRASE, force=True)
    assert home.vault.unlock(PASSPHRASE) == home.key


def test_a_terminal_that_has_it_open_is_said(home: Home, saved: Path) -> None:
    with closing(home.open()) as history:
        with pytest.raises(HistoryError, match=r"another terminal has the history .* open; close it"):
            restore(home.folder, saved, PASSPHRASE, force=True)
        talk(history, "goes on")
    assert titles(home) == ["goes on", "Sprained ankle, xylophone"]
    assert not list(home.folder.glob("replaced-*")) + list(home.folder.glob(".restoring-*"))


def test_it_is_not_written_over_something(home: Home, saved: Path) -> None:
    with closing(home.open()) as history:
        with pytest.raises(HistoryError, match="exists already"):
            back_up(history, home.folder, saved, force=False)
        talk(history, "later")
        back_up(history, home.folder, saved, force=True)
    restore(home.folder, saved, PASSPHRASE, force=True)
    assert titles(home) == ["later", "Sprained ankle, xylophone"]


@PATIENT
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_is_told_or_means_nothing(home: Home, saved: Path, where: float, change: int) -> None:
    data = bytearray(saved.read_bytes())
    data[int(where * len(data))] ^= change
    broken = saved.with_name("broken")
    broken.write_bytes(data)
    before = database_file(home.folder).read_bytes()
    said = told(lambda: restore(home.folder, broken, PASSPHRASE, force=True))
    if said is not None:
        assert "\n" not in said
        assert database_file(home.folder).read_bytes() == before
    assert titles(home) == ["Sprained ankle, xylophone"]


def told(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except BedsideError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1, -100])
def test_a_cut_file_is_told(home: Home, saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(HistoryError, match="no backup of a history, or damaged"):
        restore(home.folder, saved, PASSPHRASE, force=True)
    assert titles(home) == ["Sprained ankle, xylophone"]


def test_an_archive_that_unfolds_is_refused(home: Home, saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(HistoryError, match="is compressed"):
        restore(home.folder, saved, PASSPHRASE, force=True)


def test_a_damaged_page_is_found_before_anything_is_replaced(home: Home, saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        parts = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    for place in range(2000, len(parts["history.sqlite3"]), 4096):
        broken = {name: data.copy() for name, data in parts.items()}
        broken["history.sqlite3"][place] ^= 1
        with zipfile.ZipFile(saved, "w") as archive:
            for name, data in broken.items():
                archive.writestr(name, bytes(data))
        with pytest.raises(HistoryError, match="damaged"):
            restore(home.folder, saved, PASSPHRASE, force=True)
    assert not list(home.folder.glob("replaced-*"))


def test_missing_files_are_said(home: Home, tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no file"):
        restore(home.folder, tmp_path / "none", PASSPHRASE, force=True)
    with pytest.raises(BedsideError, match="directory"):
        restore(home.folder, tmp_path, PASSPHRASE, force=True)


def test_an_older_format_becomes_this_one_and_a_copy_is_kept(home: Home) -> None:
    with closing(home.open()) as history:
        talk(history, "kept")
    path = database_file(home.folder)
    steps = (*database.STEPS, "CREATE TABLE added(x);\nINSERT INTO added VALUES (1);")
    for _ in range(2):
        with closing(database.open_file(path, home.key, steps)) as connection:
            assert connection.execute("SELECT x FROM added").fetchall() == [(1,)]
            assert connection.execute("SELECT title FROM conversation").fetchall() == [("kept",)]
    with pytest.raises(HistoryError, match="newer Bedside"):
        home.open()
    path.unlink()
    older_file(home.folder, 1).rename(path)
    assert titles(home) == ["kept"]


def test_a_step_that_fails_leaves_the_older_format(home: Home) -> None:
    path = database_file(home.folder)
    steps = (*database.STEPS, "CREATE TABLE added(x);\nCREATE TABLE added(x);")
    with pytest.raises(HistoryError, match="already exists"):
        database.open_file(path, home.key, steps)
    assert titles(home) == []
