"""The history on the screen: found by words, opened, renamed, tagged, exported, deleted."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from textual.events import Key
from textual.widgets import Input

from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.dialogs import AskLine
from assistant.tui.shelf import HistoryScreen
from tests.assistant.history.conftest import answer as answer_to
from tests.assistant.history.conftest import question
from tests.assistant.tui.stage import Stage, enter_twice, play
from tests.assistant.tui.test_privacy import PASSPHRASE, set_passphrase


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
        for asked in ("one?", "two?", "three?"):
            await stage.ask(asked)
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
        await stage.pilot.press("x", "a")
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


def test_what_is_exported_is_redacted_where_that_was_chosen_and_replaces_a_file_only_after_a_question(
    tmp_path: Path,
) -> None:
    target = tmp_path / "out.md"
    target.write_text("mine")

    async def scene(stage: Stage) -> None:
        await stage.ask("Mrs Jane Doe, or Jane alone?")
        await stage.pilot.press("ctrl+g", "down")
        await stage.until(lambda: "Mrs Jane Doe" in stage.words)
        for confirmed in ("n", "y"):
            await stage.pilot.press("x")
            await stage.until(lambda: "Other names are not found" in stage.words)
            await stage.pilot.press("r")
            await answer(stage, str(target))
            await stage.until(lambda: "replace it?" in stage.words)
            assert target.read_text() == "mine"
            await stage.pilot.press(confirmed)
        await stage.until(lambda: "exported redacted to" in stage.words)

    play(scene, tmp_path)
    written = target.read_text("utf-8")
    assert "Jane Doe" not in written
    assert "Jane alone" in written


def test_keys_that_come_together_ask_one_thing(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await two_conversations(stage)
        await stage.pilot.press("down")
        for keys in ("rr", "td", "dx", "xt"):
            for key in keys:
                stage.app.post_message(Key(key, key))
            await stage.until(lambda: not isinstance(stage.app.screen, HistoryScreen))
            await stage.pilot.pause(0.1)
            await stage.pilot.press("escape")
            await stage.until(lambda: isinstance(stage.app.screen, HistoryScreen))
            await stage.pilot.pause(0.1)
            assert isinstance(stage.app.screen, HistoryScreen)

    play(scene, tmp_path)


def test_a_tag_lists_what_has_it_is_completed_and_said_where_there_is_none(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await two_conversations(stage)
        await stage.pilot.press("down", "t")
        await answer(stage, "Ward 3, child")
        await stage.until(lambda: "# Ward 3, child" in stage.words)
        await stage.pilot.press("slash")
        await stage.type("#wa")
        await stage.until(lambda: "about clots" not in stage.words)
        assert "about croup" in stage.words
        await stage.pilot.pause(0.1)
        await stage.pilot.press("right")
        await stage.until(lambda: stage.app.screen.query_one(Input).value.casefold() == "#ward 3")
        assert "about croup" in stage.words
        await stage.type("x")
        await stage.until(lambda: "no tag begins so; there are: Ward 3, child" in stage.words)
        await stage.pilot.press("enter")
        assert isinstance(stage.app.screen, HistoryScreen)
        await stage.pilot.press("ctrl+u")
        await stage.type("zebra")
        await stage.until(lambda: "nothing has these words" in stage.words)

    play(scene, tmp_path)


def test_an_answer_that_another_terminal_is_writing_is_not_shown_as_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "history"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        other = History.open(folder, Vault(folder).unlock(PASSPHRASE))
        with closing(other):
            begun = other.start("elsewhere?")
            other.add(begun.id, asked := question("elsewhere?"))
            other.add(begun.id, replace(answer_to("So far", asked, model="reference"), state="writing"))
            await stage.app.session.open(other.conversation(begun.id))
            await stage.until(lambda: "■ being written in another terminal; what is here" in stage.words)
            assert "So far" in stage.words
        await stage.app.session.open(replace(begun, tip=stage.app.session.book.messages[-1].id))
        await stage.until(lambda: "■ stopped; what is here" in stage.words)

    play(scene, tmp_path)
