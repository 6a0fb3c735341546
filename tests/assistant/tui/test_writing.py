"""The input: many lines, earlier questions, pastes, notes and how much fits."""

import threading
import time
from pathlib import Path

from textual import constants
from textual._xterm_parser import XTermParser
from textual.events import Key, Paste

from assistant.tui.transcript import Transcript
from benchmarks.scripted_server import first, last, piece
from tests.assistant.tui.stage import Stage, play

NOTE = "\n".join(f"Line {number} of the letter from the ward" for number in range(20))


async def paste(stage: Stage, text: str) -> None:
    stage.app.post_message(Paste(text))
    await stage.pilot.pause(0.05)


def test_a_new_line_is_no_sending(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("one")
        await stage.pilot.press("ctrl+j")
        await stage.type("two")
        await stage.pilot.press("alt+enter")
        await stage.ask("three")

    server = play(scene, tmp_path)
    assert server.bodies[0]["messages"][0]["content"] == "one\ntwo\nthree"


def test_alt_and_enter_is_a_new_line_where_a_terminal_says_it_as_escape_and_return() -> None:
    def keys(*pieces: str) -> list[str]:
        parser, found = XTermParser(), []
        for each in pieces:
            found += list(parser.feed(each))
            time.sleep(constants.ESCAPE_DELAY * 1.2)
            found += list(parser.tick())
        return [event.key for event in found if isinstance(event, Key)]

    assert keys("one\x1b\rtwo\r") == ["o", "n", "e", "ctrl+j", "t", "w", "o", "enter"]
    assert keys("\x1b", "\r") == ["escape", "enter"]  # one after the other


def test_earlier_questions_stand_behind_the_arrow_keys(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("first")
        await stage.ask("second")
        await stage.type("draft")
        for key, text in [("up", "second"), ("up", "first"), ("up", "first"), ("down", "second"), ("down", "draft")]:
            await stage.pilot.press(key)
            assert stage.composer.text == text

    play(scene, tmp_path)


def test_a_paste_never_sends_and_a_long_one_is_the_note(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await paste(stage, "short\r\npaste\x1b[31m\u202e")
        assert stage.composer.text == "short\npaste[31m"
        await paste(stage, NOTE)
        await stage.until(lambda: f"▤ patient note, {len(NOTE)} characters" in stage.words)
        await stage.until(lambda: "162 tokens · 1,536 fit beside an answer, passages among them" in stage.words)
        assert stage.server.bodies == []
        await stage.ask(" ok")
        await stage.pilot.press("shift+tab", "g")
        await stage.until(lambda: "Patient note" in stage.words)
        assert "▾ 17 more rows of the note" in stage.words
        await stage.pilot.press("v")
        assert "Line 6 of the letter" in stage.words

    server = play(scene, tmp_path)
    assert [message["content"] for message in server.bodies[0]["messages"]] == [
        f"Patient note:\n{NOTE}",
        "short\npaste[31m ok",
    ]


def test_the_note_can_be_edited_and_text_made_a_note(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await paste(stage, NOTE)
        await stage.until(lambda: "▤" in stage.screen)
        await stage.pilot.press("f2")
        assert stage.composer.text == NOTE
        assert "▤" not in stage.screen
        await stage.pilot.press("f2")
        assert stage.composer.text == ""
        assert "▤ patient note" in stage.words

    play(scene, tmp_path)


def test_a_question_that_is_refused_comes_back_with_its_note(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.server.refusal = "no room"
        await paste(stage, NOTE)
        await stage.until(lambda: "▤" in stage.screen)
        await stage.ask("What now?")
        await stage.until(lambda: "! no room" in stage.words)
        assert stage.composer.text == "What now?"
        assert "▤ patient note" in stage.words
        stage.server.refusal = ""
        await stage.pilot.press("enter")
        await stage.until(lambda: "Start anticoagulation" in stage.words)

    server = play(scene, tmp_path)
    assert server.bodies[0]["messages"] == server.bodies[1]["messages"]


def test_a_note_without_a_question_is_not_sent_and_says_so(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("enter")
        assert "needs a question" not in stage.words
        await paste(stage, NOTE)
        await stage.until(lambda: "▤" in stage.screen)
        await stage.pilot.press("enter")
        await stage.until(lambda: "the note needs a question" in stage.words)
        assert "▤ patient note" in stage.words

    assert play(scene, tmp_path).bodies == []


def test_too_much_is_said_before_it_is_sent(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await paste(stage, "word " * 3000)
        await stage.until(lambda: "! 3,000 tokens are more than the 1,536 that fit beside an answer" in stage.words)

    play(scene, tmp_path)


def test_a_question_waits_while_an_answer_is_written(tmp_path: Path) -> None:
    hold = threading.Event()

    async def scene(stage: Stage) -> None:
        await stage.type("one")
        await stage.pilot.press("enter")
        await stage.until(lambda: "Half" in stage.words)
        await stage.type("two")
        await stage.pilot.press("enter")
        assert stage.composer.text == "two"
        assert len(stage.server.bodies) == 1
        hold.set()

    play(scene, tmp_path, [first(), piece("Half"), hold, last()])


def test_a_draft_is_not_lost_to_editing(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("dvt?")
        await stage.type("half a draft")
        await stage.pilot.press("f3")
        assert (stage.composer.text, stage.app.session.editing) == ("half a draft", None)
        stage.composer.load_text("")
        await stage.pilot.press("f3")
        assert stage.composer.text == "dvt?"
        await stage.type("!")
        await stage.pilot.press("f3")
        assert stage.composer.text == "dvt?"  # from its beginning

    play(scene, tmp_path)


def test_letters_are_text_whatever_is_open(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask()
        await stage.pilot.press("ctrl+o")
        assert stage.opened() == 1
        await stage.type("required 1")
        assert stage.composer.text == "required 1"
        await stage.pilot.click(Transcript, offset=(5, 5))
        await stage.type("ecr")
        assert stage.composer.text == "required 1ecr"
        assert len(stage.app.session.turns) == 1

    server = play(scene, tmp_path)
    assert len(server.bodies) == 1
