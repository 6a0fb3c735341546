"""The end of the terminal: at once where nothing is lost by it, else after one more key."""

from pathlib import Path

import pytest

from assistant.tui.dialogs import Quit, RecoveryCode
from assistant.tui.locking import LockScreen
from tests.assistant.tui.stage import Stage, play
from tests.assistant.tui.test_privacy import ask_for_the_code, set_passphrase, unlock
from tests.assistant.tui.test_writing import NOTE, paste


def leaves(stage: Stage) -> bool:
    return stage.app._exit


def test_nothing_is_asked_where_nothing_would_be_lost(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("a few words")
        await stage.pilot.press("ctrl+q")
        assert leaves(stage)

    play(scene, tmp_path)


@pytest.mark.slow
def test_what_is_saved_or_incognito_is_left_at_once(tmp_path: Path) -> None:
    async def saved(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask()
        await stage.pilot.press("ctrl+q")
        assert leaves(stage)

    async def incognito(stage: Stage) -> None:
        await stage.ask()
        await stage.pilot.press("ctrl+q")
        assert leaves(stage)

    play(saved, tmp_path / "saved")
    play(incognito, tmp_path / "incognito", incognito=True)


def test_conversations_in_memory_are_told_and_a_second_key_leaves(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("one?")
        await stage.pilot.press("ctrl+n")
        await stage.ask("two?")
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: "2 conversations, in memory only" in stage.words)
        await stage.pilot.press("escape")
        assert stage.app.chat.is_active
        await stage.ask("three?")
        await stage.pilot.press("ctrl+q", "ctrl+q")
        assert leaves(stage)

    play(scene, tmp_path)


def test_a_note_that_was_not_asked_about_is_told(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await paste(stage, NOTE)
        await stage.pilot.press("ctrl+q")
        await stage.until(lambda: "what you are writing" in stage.words)
        await stage.pilot.press("y")
        assert leaves(stage)

    play(scene, tmp_path)


def test_a_recovery_code_that_nobody_confirmed_is_not_lost_by_a_key(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await ask_for_the_code(stage)
        code = str(stage.app.screen.query_one(".code").render())
        await stage.pilot.press("ctrl+q", "ctrl+q", "ctrl+q")
        assert isinstance(stage.app.screen, Quit)
        assert not leaves(stage)
        await stage.until(lambda: "the recovery code" in stage.words)
        await stage.pilot.press("n")
        assert isinstance(stage.app.screen, RecoveryCode)
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        await stage.pilot.press("ctrl+q", "ctrl+q")
        assert not leaves(stage)
        await stage.pilot.press("escape")
        await unlock(stage)
        await stage.until(lambda: code in stage.words)
        await stage.pilot.press("ctrl+q", "y")
        assert leaves(stage)

    play(scene, tmp_path)
