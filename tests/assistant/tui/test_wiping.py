"""What is wiped, and what is asked before: conversations in memory, the clipboard, the screen."""

from pathlib import Path

from textual.widgets import Input

from assistant.tui.dialogs import AskLine
from tests.assistant.tui.stage import Stage, play


async def wiped(stage: Stage) -> None:
    await stage.pilot.press("ctrl+l")
    await stage.until(lambda: "Wipe the screen and all conversations in memory for good?" in stage.words)
    await stage.pilot.press("y")
    await stage.until(lambda: "wiped: there is no passphrase to lock with" in stage.words)


def test_a_lock_that_could_only_wipe_asks_first(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("secret?")
        await stage.type("half a note")
        await stage.pilot.press("ctrl+l", "ctrl+l", "escape")
        await stage.until(lambda: stage.app.chat.is_active)
        assert "secret?" in stage.words
        assert stage.composer.text == "half a note"
        await wiped(stage)
        assert "secret?" not in stage.words
        assert stage.composer.text == ""

    play(scene, tmp_path)


def test_what_was_copied_is_gone_with_what_was_wiped(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("secret?")
        await stage.pilot.press("ctrl+y")
        await wiped(stage)
        await stage.pilot.press("ctrl+v")
        assert stage.composer.text == ""

        await stage.app.privacy.incognito(stage.app)
        await stage.ask("secret?")
        await stage.pilot.press("ctrl+y")
        await stage.app.privacy.incognito(stage.app)
        await stage.pilot.press("ctrl+v")
        assert stage.composer.text == ""

    play(scene, tmp_path)


def test_no_passphrase_is_copied(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.app.push_screen(AskLine("A passphrase", hidden=True))
        await stage.type("correct horse")
        line = stage.app.screen.query_one(Input)
        line.select_all()
        await stage.pilot.press("ctrl+c")
        assert stage.app.clipboard == ""

    play(scene, tmp_path)


def test_a_new_conversation_begins_with_the_welcome(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        for question in ("one?", "two?", "three?"):
            await stage.ask(question)
        assert stage.transcript.scroll_y > 0
        await stage.pilot.press("ctrl+n")
        await stage.until(lambda: "A medical assistant, for clinicians" in stage.words)
        assert stage.transcript.scroll_y == 0

    play(scene, tmp_path)
