"""What the history refuses: it is said for as long as it holds, and given again when the history takes it."""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.dialogs import Quit
from tests.assistant.tui.stage import Stage, play
from tests.assistant.tui.test_closed_history import questions, words
from tests.assistant.tui.test_privacy import PASSPHRASE, set_passphrase, unlock

LONG = "a question that a full disk has no room for " * 1000


def _let_grow(history: History, pages: int) -> None:
    history._connection.execute(f"PRAGMA max_page_count = {pages}")


async def let_grow(stage: Stage, pages: int) -> None:
    """As a disk that takes so many pages and no more; 1: none besides those that there are."""
    await stage.app.privacy.call(partial(_let_grow, pages=pages))


async def ask_long(stage: Stage) -> None:
    stage.app.session.ask(LONG)
    await stage.app.session.settled()
    await stage.until(lambda: not stage.app.session.is_running)
    await stage.app.session.settled()
    await stage.pilot.pause()


def test_what_was_refused_is_saved_with_the_next_question_and_until_then_it_says_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("before?")
        await let_grow(stage, 1)
        await ask_long(stage)
        assert "NOT saved" in stage.words
        assert "saved, encrypted" not in stage.words
        told = [notice.message for notice in stage.app._notifications]
        assert any("the disk is full" in each for each in told)
        assert all(each.count("not saved") <= 1 for each in told)
        stage.app.clear_notifications()
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, Quit))
        await stage.until(lambda: "what is not saved of the conversation" in words(stage))
        await stage.pilot.press("escape")
        await let_grow(stage, 1 << 30)
        await stage.ask("after?")
        await stage.app.session.settled()
        await stage.until(lambda: "saved, encrypted" in stage.words)
        await stage.pilot.press("ctrl+q")
        assert stage.app._exit

    play(scene, tmp_path)
    assert questions(tmp_path / "history") == [["before?", LONG, "after?"]]


def test_a_conversation_whose_first_question_was_refused_is_saved_when_it_is_left(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await let_grow(stage, 1)
        await ask_long(stage)
        assert "NOT saved" in stage.words
        await let_grow(stage, 1 << 30)
        await stage.pilot.press("ctrl+n")
        await stage.until(lambda: "saved, encrypted" in stage.words)

    play(scene, tmp_path)
    assert questions(tmp_path / "history") == [[LONG]]


@pytest.mark.slow  # another terminal is waited for as long as may be
def test_what_another_terminal_kept_from_being_saved_is_saved_with_the_next_question(tmp_path: Path) -> None:
    folder = tmp_path / "history"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("before?")
        await stage.app.session.settled()
        with closing(History.open(folder, Vault(folder).unlock(PASSPHRASE))) as other:
            other._connection.execute("BEGIN IMMEDIATE")
            await stage.ask("between?")
            await stage.app.session.settled()
            await stage.until(lambda: "NOT saved" in stage.words)
            other._connection.execute("ROLLBACK")
        await stage.ask("after?")
        await stage.app.session.settled()
        await stage.until(lambda: "saved, encrypted" in stage.words)

    play(scene, tmp_path)
    assert questions(folder) == [["before?", "between?", "after?"]]


def test_a_conversation_deleted_elsewhere_stays_deleted_and_says_that_it_is_in_memory_only(tmp_path: Path) -> None:
    folder = tmp_path / "history"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("purged?")
        await stage.app.session.settled()
        with closing(History.open(folder, Vault(folder).unlock(PASSPHRASE))) as other:
            other.purge(None)
        await stage.ask("after?")
        await stage.app.session.settled()
        told = [notice.message for notice in stage.app._notifications]
        assert [each for each in told if "saved" in each] == [
            "this conversation was deleted elsewhere: it is in memory only now, not saved; Ctrl+N begins a new one"
        ]
        assert "NOT saved" in stage.words
        stage.app.clear_notifications()
        await stage.ask("more?")
        await stage.app.session.settled()
        assert not stage.app._notifications
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: isinstance(stage.app.screen, Quit))
        await stage.pilot.press("escape", "ctrl+n")
        await stage.until(lambda: "saved, encrypted" in stage.words)
        await stage.ask("kept?")

    play(scene, tmp_path)
    assert questions(folder) == [["kept?"]]


def test_behind_the_lock_a_deleted_conversation_does_not_come_back_into_the_history(tmp_path: Path) -> None:
    folder, away = tmp_path / "history", tmp_path / "away"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("purged?")
        await stage.app.session.settled()
        with closing(History.open(folder, Vault(folder).unlock(PASSPHRASE))) as other:
            other.purge(None)
        await stage.ask("after?")
        for is_away in (True, False):
            await stage.app.action_lock()
            (folder if is_away else away).rename(away if is_away else folder)
            await unlock(stage)
            await stage.until(lambda: stage.app.chat.is_active)
            await stage.ask("more?")
            assert ("in memory only, not saved" if is_away else "NOT saved") in stage.words

    play(scene, tmp_path)
    assert questions(folder) == []
