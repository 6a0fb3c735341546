"""The history on the screen: found by words, opened, renamed, tagged, exported, deleted."""

import json
from pathlib import Path

from textual.widgets import Input

from assistant.tui.dialogs import AskLine
from assistant.tui.shelf import HistoryScreen
from tests.assistant.tui.stage import Stage, enter_twice, play


async def two_conversations(stage: Stage) -> None:
    await stage.ask("about clots")
    await stage.pilot.press("ctrl+n")
    await stage.ask("about croup")
    await stage.pilot.press("ctrl+g")
    await stage.until(lambda: "about clots" in stage.words and "about croup" in stage.words)


async def answer(stage: Stage, text: str) -> None:
    """Into the line that asks."""
    await stage.until(lambda: isinstance(stage.app.screen, AskLine))
    stage.app.screen.query_one(Input).value = text
    await stage.pilot.press("enter")


def test_a_conversation_is_found_by_its_words_and_goes_on(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await two_conversations(stage)
        await stage.type("clots")
        await stage.until(lambda: "about croup" not in stage.words)
        await stage.pilot.press("enter")
        await stage.until(lambda: not isinstance(stage.app.screen, HistoryScreen))
        assert "about clots" in stage.words
        await stage.ask("and then?")

    server = play(scene, tmp_path)
    assert [message["content"] for message in server.bodies[2]["messages"]][::2] == ["about clots", "and then?"]


def test_two_enters_that_come_together_close_one_screen(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await two_conversations(stage)
        await stage.pilot.press("down", "r")
        await stage.until(lambda: isinstance(stage.app.screen, AskLine))
        await enter_twice(stage)
        await stage.until(lambda: not isinstance(stage.app.screen, AskLine))
        assert isinstance(stage.app.screen, HistoryScreen)
        await stage.pilot.press("slash")
        await enter_twice(stage)
        await stage.until(lambda: not isinstance(stage.app.screen, HistoryScreen))
        assert stage.app.chat.is_active
        await stage.ask("and then?")

    play(scene, tmp_path)


def test_all_turns_of_an_opened_conversation_are_shown(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        for question in ("one?", "two?", "three?"):
            await stage.ask(question)
        await stage.pilot.press("ctrl+n", "ctrl+g")
        await stage.until(lambda: "one?" in stage.words)
        await stage.pilot.press("enter")
        await stage.until(lambda: not isinstance(stage.app.screen, HistoryScreen))
        await stage.until(lambda: "one?" in stage.words and "two?" in stage.words and "three?" in stage.words)

    play(scene, tmp_path, size=(100, 70))


def test_it_is_renamed_tagged_exported_and_deleted(tmp_path: Path) -> None:
    target = tmp_path / "out.json"

    async def scene(stage: Stage) -> None:
        await two_conversations(stage)
        await stage.pilot.click("#history .keys", offset=(len("↓ list · Enter opens · "), 0))  # r rename
        await answer(stage, "Croup, again")
        await stage.until(lambda: "Croup, again" in stage.words)
        await stage.pilot.press("down", "t")
        await answer(stage, "ward 3, child")
        await stage.until(lambda: "# ward 3, child" in stage.words)
        await stage.pilot.press("x")
        await answer(stage, str(target))
        await stage.until(target.exists)
        await stage.pilot.press("d")
        await stage.until(lambda: "for good?" in stage.words)
        await stage.pilot.press("y")
        await stage.until(lambda: "Croup, again" not in stage.words)
        assert "about clots" in stage.words
        await stage.pilot.press("escape")
        assert stage.app.session.turns == []

    play(scene, tmp_path)
    assert "Croup, again" in json.dumps(json.loads(target.read_text("utf-8")))
    assert target.stat().st_mode & 0o077 == 0
