"""A history that does not open, or is closed behind the lock: what is wrong is said, the conversation stays, and hidden."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from textual.widgets import Input

from assistant.history.place import database_file, key_file
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.dialogs import Quit
from assistant.tui.locking import LockScreen, UnlockScreen
from tests.assistant.tui.stage import Stage, play
from tests.assistant.tui.test_privacy import PASSPHRASE, set_passphrase, unlock


def made(folder: Path) -> None:
    """A history with a passphrase, and nothing in it."""
    key, _ = Vault(folder).create(PASSPHRASE)
    History.open(folder, key).close()


def damage(folder: Path) -> None:
    database_file(folder).write_bytes(b"x" * 8192)


def occupy(folder: Path) -> None:
    shutil.rmtree(folder / "writers", ignore_errors=True)
    database_file(folder).unlink()
    database_file(folder).mkdir()


def words(stage: Stage) -> str:
    """On the screen, wherever the rows of a box break."""
    return " ".join(stage.screen.replace("│", " ").split())


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (damage, "it is damaged, or belongs to another key"),
        pytest.param(occupy, "the database refuses (unable to open database file)", marks=pytest.mark.slow),
    ],
)
def test_a_database_that_does_not_open_is_told_and_can_be_left(
    tmp_path: Path, break_it: Callable[[Path], None], told: str
) -> None:
    made(tmp_path / "history")
    break_it(tmp_path / "history")

    async def scene(stage: Stage) -> None:
        assert isinstance(stage.app.screen, UnlockScreen)
        await unlock(stage)
        await stage.until(lambda: told in words(stage) and not stage.app.screen.query_one(Input).disabled)
        await stage.pilot.press("escape")
        await stage.ask("before?")
        assert "in memory only, not saved" in stage.words
        # The passphrase was right: the lock hides, and gives back what it hid.
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        assert "before?" not in stage.words
        await unlock(stage)
        await stage.until(lambda: "before?" in stage.words)
        await stage.ask("after?")

    play(scene, tmp_path)


def test_a_key_that_cannot_be_read_is_told_at_once_and_there_is_nothing_to_lock_with(tmp_path: Path) -> None:
    made(tmp_path / "history")
    key_file(tmp_path / "history").write_text("{")

    async def scene(stage: Stage) -> None:
        assert "is damaged" in words(stage)
        await stage.pilot.press("escape")
        await stage.ask("secret?")
        await stage.until(lambda: "nobody was here, and the history's key is unreadable" in stage.words)
        assert "secret?" not in stage.words

    play(scene, tmp_path, lock_s=2.0)


@pytest.mark.slow
def test_a_key_that_goes_while_nobody_has_unlocked_it_leaves_the_conversation_hidden(tmp_path: Path) -> None:
    made(tmp_path / "history")

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("escape")
        await stage.ask("secret?")
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        key_file(tmp_path / "history").unlink()
        await unlock(stage)
        await stage.until(lambda: "cannot be read without it; put it back" in words(stage))
        await stage.pilot.press("escape")
        assert isinstance(stage.app.screen, LockScreen)
        assert "secret?" not in stage.words
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: "1 conversation, in memory only" in stage.words)
        assert "secret?" not in stage.words
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: stage.app._exit)

    play(scene, tmp_path)


def test_behind_the_lock_the_database_is_closed_and_the_conversation_goes_on_after_it(tmp_path: Path) -> None:
    def opened() -> list[str]:
        found = []
        for each in Path("/proc/self/fd").iterdir():
            try:
                found.append(str(each.readlink()))
            except OSError:
                continue  # that of the listing itself
        return [each for each in found if str(tmp_path) in each]

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("before?")
        assert opened()
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen) and not opened())
        await unlock(stage, "wrong one")
        await stage.until(lambda: "! this does not open the history" in stage.words)
        assert not opened()
        await stage.until(lambda: not stage.app.screen.query_one(Input).disabled)
        await unlock(stage)
        await stage.until(lambda: stage.app.chat.is_active)
        assert "saved, encrypted" in stage.words
        await stage.ask("after?")

    play(scene, tmp_path)
    assert questions(tmp_path / "history") == [["before?", "after?"]]


def questions(folder: Path) -> list[list[str]]:
    """Of each conversation."""
    with closing(History.open(folder, Vault(folder).unlock(PASSPHRASE))) as history:
        found = [history.messages(each.id) for each in history.conversations(9)]
    return [[message.text for message in messages if message.role == "user"] for messages in found]


@pytest.mark.slow
def test_a_disk_that_goes_behind_the_lock_takes_no_conversation_with_it(tmp_path: Path) -> None:
    folder, away = tmp_path / "history", tmp_path / "away"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("before?")
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        await asyncio.sleep(0.3)
        folder.rename(away)
        await unlock(stage)
        await stage.until(lambda: stage.app.chat.is_active)
        assert "before?" in stage.words
        assert "in memory only, not saved" in stage.words
        await stage.ask("between?")
        away.rename(folder)
        await stage.app.action_lock()
        await unlock(stage)
        await stage.until(lambda: "saved, encrypted" in stage.words)
        await stage.ask("after?")

    play(scene, tmp_path)
    assert questions(folder) == [["before?", "between?", "after?"]]


def test_a_folder_that_goes_while_its_history_is_open_can_be_locked_all_the_same(tmp_path: Path) -> None:
    folder, away = tmp_path / "history", tmp_path / "away"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("before?")
        await stage.app.session.settled()
        folder.rename(away)
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        assert "before?" not in stage.words
        await unlock(stage, "wrong one")
        await stage.until(lambda: "! this does not open the history" in words(stage))
        await stage.until(lambda: not stage.app.screen.query_one(Input).disabled)
        await unlock(stage)
        await stage.until(lambda: stage.app.chat.is_active)
        assert "before?" in stage.words
        assert "in memory only, not saved" in stage.words
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, Quit))

    play(scene, tmp_path)
    assert questions(away) == [["before?"]]


def test_after_a_wipe_nothing_counts_as_saved(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.app.privacy.wipe(stage.app)
        assert not stage.app.privacy.is_open
        await stage.ask("after?")
        assert "in memory only, not saved" in stage.words
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: "1 conversation, in memory only" in stage.words)

    play(scene, tmp_path)
