"""What the history refuses: it is said for as long as it holds, and given again when the history takes it."""

from functools import partial
from pathlib import Path

from assistant.history.store import History
from assistant.tui.dialogs import Quit
from tests.assistant.tui.stage import Stage, play
from tests.assistant.tui.test_closed_history import questions, words
from tests.assistant.tui.test_privacy import set_passphrase

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
