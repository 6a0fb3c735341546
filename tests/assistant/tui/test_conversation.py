"""Asking, stopping, asking again: what the terminal shows, and what the server is asked."""

import re
import threading
from pathlib import Path

import pytest
from textual.widgets import Static

from assistant.tui.keeper import Keeper
from assistant.tui.welcome import welcome_rows
from benchmarks.scripted_server import FLAGS, Script, first, last, piece
from tests.assistant.tui.stage import ANSWER, PASSAGES, Stage, play

DANGER = {
    "rule": "shock", "severity": "emergency", "meaning": "possible shock.", "source": "x", "start": 0, "end": 4, "message": 0,
    "places": [{"message": 0, "start": 0, "end": 4}], "contacts": None,
}  # fmt: skip


def test_the_first_question_needs_no_dialog_and_its_answer_shows_everything(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert "not for clinical use" in stage.words
        assert "in memory only, not saved" in stage.words
        await stage.ask("How is DVT treated?")
        shown = stage.words
        assert "[1] Deep vein thrombosis: Treatment (2026-11-21)" in shown
        assert "Start anticoagulation early. [1]" in shown
        assert "‹! not supported by [2] (number not in the source for this)›" in shown
        assert "Evidence: ! insufficient - 1 of 2 sentences supported" in shown
        assert "none found, which excludes nothing" in shown
        assert "reference · 41.2 tok/s · first 0.32 s · ctx 340/2,048 · W not measured" in shown

    server = play(scene, tmp_path)
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "How is DVT treated?"}]


def test_escape_stops_at_once_and_the_server_stops_too(tmp_path: Path) -> None:
    hold = threading.Event()

    async def scene(stage: Stage) -> None:
        await stage.type("dvt?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "Half an" in stage.words)
        await stage.pilot.press("escape")
        assert not stage.app.session.is_running
        await stage.until(stage.server.left.is_set, 2.0)
        assert "■ stopped" in stage.words

    play(scene, tmp_path, [first(PASSAGES), piece("Half an answer"), hold])


def test_a_question_that_is_not_answered_comes_back(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.server.refusal = "question and note leave no room for an answer"
        await stage.ask("dvt?")
        assert stage.composer.text == "dvt?"
        assert "! question and note leave no room" in stage.words
        stage.server.refusal = ""
        await stage.pilot.press("enter")
        await stage.until(lambda: "Start anticoagulation" in stage.words)
        assert "leave no room" not in stage.words

    server = play(scene, tmp_path)
    assert [len(body["messages"]) for body in server.bodies] == [1, 1]


def test_later_questions_replay_the_passages_that_earlier_ones_were_given(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("first?")
        await stage.ask("second?")
        assert "from before: [1] [2]" in stage.words

    server = play(scene, tmp_path)
    ids = [passage["id"] for passage in PASSAGES]
    assert server.bodies[1]["messages"] == [
        {"role": "user", "content": "first?", "bedside": {"passages": ids}},
        {"role": "assistant", "content": "Start anticoagulation early. [1] Give it 7 times. [2]"},
        {"role": "user", "content": "second?"},
    ]


def test_citations_open_their_passage_by_key_and_by_click(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask()
        await stage.pilot.press("ctrl+o")
        assert stage.opened() == 1
        assert "» Start anticoagulation early." in stage.words
        await stage.pilot.press("ctrl+o")
        assert stage.opened() == 2
        await stage.pilot.press("escape")
        assert stage.opened() is None
        y = next(y for y, row in enumerate(stage.rows) if row.strip().startswith("[2] Deep vein"))
        await stage.pilot.click("#transcript", offset=(2, y))
        assert stage.opened() == 2

    play(scene, tmp_path)


def test_asking_again_and_editing_make_versions_between_which_one_can_go(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("first?")
        await stage.pilot.press("ctrl+r")
        await stage.until(lambda: "version 2 of 2" in stage.words)
        assert "Another answer." in stage.words
        await stage.pilot.press("tab", "left")
        await stage.until(lambda: "version 1 of 2" in stage.words)
        assert "Start anticoagulation" in stage.words
        await stage.pilot.press("f3")
        assert stage.composer.text == "first?"
        await stage.ask(" now")
        assert "version 3 of 3" in stage.words

    server = play(scene, tmp_path, ANSWER, [first(), piece("Another answer."), last()], ANSWER)
    assert [body["messages"][-1]["content"] for body in server.bodies] == ["first?", "first?", "first? now"]
    assert [len(body["messages"]) for body in server.bodies] == [1, 1, 1]


def test_progress_and_the_place_in_the_queue_are_told(tmp_path: Path) -> None:
    queued, read = threading.Event(), threading.Event()
    script: Script = [
        piece("", queue={"before": 2}), queued, first(), piece("", prompt={"done": 50, "total": 200, "cached": 0}), read,
        piece("Done."), last(),
    ]  # fmt: skip

    async def scene(stage: Stage) -> None:
        activity = stage.app.chat.query_one("#activity", Static)
        await stage.type("dvt?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "waiting for 2 other questions" in str(activity.content))
        queued.set()
        await stage.until(lambda: "reading 200 tokens, 25% done · Esc stops" in str(activity.content))
        read.set()
        await stage.until(lambda: "Done." in stage.words)

    play(scene, tmp_path, script)


def flagged(count: int) -> dict[str, object]:
    """Red flags that a question may have."""
    findings = [{**DANGER, "meaning": f"possible shock {number}."} for number in range(count)]
    return {**FLAGS, "findings": findings}


@pytest.mark.parametrize(
    ("size", "count", "shown"),
    [
        ((80, 24), 1, ["!! RED FLAG · by fixed rules · details above the answer", "!! EMERGENCY: possible shock 0."]),
        ((80, 24), 5, [
            "!! 5 RED FLAGS · 3 here, all above the answer", "!! EMERGENCY: possible shock 0.",
            "!! EMERGENCY: possible shock 1.", "!! EMERGENCY: possible shock 2.", "",
        ]),
        ((24, 24), 1, ["!! RED FLAG · by fixe…", "!! EMERGENCY: possible", "shock 0.", ""]),
        ((24, 24), 5, ["!! 5 RED FLAGS · 1 he…", "!! EMERGENCY: possible", "shock 0.", ""]),
        ((60, 10), 5, ["!! 5 RED FLAGS · EMERGENCY: possible shock 0.", ""]),
    ],
)  # fmt: skip
def test_red_flags_stand_above_everything(tmp_path: Path, size: tuple[int, int], count: int, shown: list[str]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("BP 85-50")
        assert "copy  again" in stage.screen  # the view follows, although the banner takes room from it
        await stage.pilot.press("shift+tab", "g")
        rows = [row.strip(" █") for row in stage.screen.splitlines()]
        assert rows[: len(shown)] == [*shown[:-1], "▌ You"] if shown[-1] == "" else shown
        await stage.pilot.press("G")
        assert stage.screen.splitlines()[0].strip() == shown[0]  # it stays
        block = stage.app.chat.query_one("#flags")
        assert block.size.width + 2 == size[0]
        assert block.rich_style.bold

    play(scene, tmp_path, [first(red_flags=flagged(count)), piece("Act. " * 200), last()], size=size)


def test_red_flags_go_with_the_last_question_that_has_any(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("BP 85-50")
        assert stage.app.chat.query_one("#flags").display
        await stage.ask("And now?")
        assert not stage.app.chat.query_one("#flags").display

    play(scene, tmp_path, [first(red_flags=flagged(1)), piece("Act."), last()], ANSWER)


def test_what_an_answer_was_made_with_is_shown_by_key_and_by_click(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask()
        assert "Made with" not in stage.words
        await stage.pilot.press("tab", "d", "G")
        assert "Made with: model reference 5ba95aee5ba9 · library starter 2026-11-21.9f3c1a7b" in stage.words
        assert "bedside 0.1.0" in stage.words
        assert "41.2 tok/s · first token 0.32 s · reference model" in stage.words
        y = next(y for y, row in enumerate(stage.rows) if "copy  again" in row)
        await stage.pilot.click("#transcript", offset=(stage.rows[y].index("less") + 1, y))
        assert "Made with" not in stage.words

    play(scene, tmp_path)


def test_the_speed_is_told_while_an_answer_is_written_and_is_not_that_of_the_former(tmp_path: Path) -> None:
    hold = threading.Event()
    words = "word " * 60

    async def scene(stage: Stage) -> None:
        status = stage.app.chat.query_one("#status", Static)
        await stage.ask("first?")
        assert "41.2 tok/s" in str(status.content)
        await stage.type("second?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "tok/s" not in str(status.content))
        await stage.until(lambda: "≈" in str(status.content))
        told = re.search(r"≈ (\d+) tok/s", str(status.content))
        assert told is not None
        assert 25 <= int(told[1]) <= 60  # of 60 tokens 1.1 s after the first word, in two chunks
        hold.set()
        await stage.until(lambda: "≈" not in str(status.content) and "41.2 tok/s" in str(status.content))

    play(scene, tmp_path, ANSWER, [first(), piece(words), 1.1, piece("end"), hold, last()])


@pytest.mark.parametrize(("library", "told"), [("nephrology", True), ("starter", False)])
def test_a_library_that_is_not_there_is_told_before_the_first_question(
    tmp_path: Path, library: str, told: bool
) -> None:
    async def scene(stage: Stage) -> None:
        if told:
            await stage.until(lambda: "no library named 'nephrology' (available: starter)" in stage.words)
        await stage.pilot.pause(0.1)
        assert ("no library" in stage.words) is told
        await stage.ask()
        assert "Start anticoagulation" in stage.words

    play(scene, tmp_path, knowledge=library)


@pytest.mark.parametrize("size", [(20, 5), (30, 8), (1, 1)])
def test_a_screen_of_any_size_shows_what_is_written_and_keeps_it(tmp_path: Path, size: tuple[int, int]) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("dvt?")
        await stage.pilot.resize_terminal(*size)
        await stage.pilot.pause(0.05)
        if size > (1, 1):
            assert "dvt?" in stage.screen
        await stage.pilot.press("enter")
        await stage.until(lambda: stage.app.session.turns and not stage.app.session.is_running)
        await stage.pilot.press("ctrl+j", "ctrl+j", "ctrl+j")
        await stage.pilot.pause(0.05)
        if size > (1, 1):
            assert any(stage.rows)
            assert "!! RED FLAG" in stage.screen
            assert stage.app.screen.max_scroll_y == 0  # nothing is pushed out of it
        await stage.pilot.press("f1", "escape", "ctrl+o", "escape", "ctrl+g", "escape")
        await stage.type("next")
        await stage.pilot.resize_terminal(80, 24)
        await stage.until(lambda: "next" in stage.screen and "Act." in stage.words)

    play(scene, tmp_path, [first(red_flags=flagged(1)), piece("Act."), last()])


def test_the_reader_stays_where_he_scrolled_and_follows_at_the_end(tmp_path: Path) -> None:
    more, rest = threading.Event(), threading.Event()
    lines = "".join(f"Line {number}.\n" for number in range(60))

    async def scene(stage: Stage) -> None:
        await stage.type("dvt?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "Line 59." in stage.words)
        await stage.pilot.press("pageup", "pageup")
        top = stage.rows[0]
        more.set()
        await stage.until(lambda: "More." in stage.app.session.turns[0].text)
        await stage.pilot.pause(0.05)
        assert stage.rows[0] == top
        assert "more below" in stage.words
        await stage.pilot.press("pagedown", "pagedown", "pagedown")
        assert "More." in stage.words
        assert "more below" not in stage.words
        rest.set()
        await stage.until(lambda: "The end." in stage.words)

    play(scene, tmp_path, [first(), piece(lines), more, piece("More.\n" * 3), rest, piece("The end."), last()])


def test_resizing_keeps_the_words_at_the_top(tmp_path: Path) -> None:
    text = "".join(
        f"Sentence number {number} says something of some length that has to be broken. " for number in range(80)
    )

    async def scene(stage: Stage) -> None:
        await stage.ask()
        await stage.pilot.press("pageup", "pageup")
        top = stage.rows[0].split()[:2]
        await stage.pilot.resize_terminal(60, 24)
        await stage.pilot.pause(0.05)
        assert " ".join(top) in " ".join(stage.rows[:2])
        await stage.pilot.resize_terminal(132, 40)
        await stage.pilot.pause(0.05)
        assert all(f"number {number} " in stage.app.session.turns[0].text for number in range(80))

    play(scene, tmp_path, [first(), piece(text), last()])


def test_a_danger_in_what_is_refused_is_shown(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        stage.server.refusal = "question and note leave no room for an answer"
        for flags, shown in (({**FLAGS, "findings": [DANGER]}, True), ({"findings": 7}, False)):
            stage.server.refused_flags = flags
            await stage.ask()
            assert ("!! EMERGENCY: possible shock." in stage.words) is shown
            assert stage.server.refusal in stage.words

    play(scene, tmp_path)


def test_a_question_stays_with_the_conversation_that_is_left(tmp_path: Path) -> None:
    hold = threading.Event()

    async def scene(stage: Stage) -> None:
        await stage.type("patient A")
        await stage.pilot.press("enter")
        await stage.until(lambda: "25% done" in stage.words)
        await stage.pilot.press("ctrl+n")
        await stage.until(lambda: not stage.app.session.turns)
        assert stage.composer.text == ""
        assert stage.app.session.editing is None
        assert "ctx 0/2,048" in stage.words

    play(scene, tmp_path, [first(PASSAGES), piece("", prompt={"done": 50, "total": 200, "cached": 0}), hold])


def test_what_was_asked_incognito_is_not_called_back_elsewhere(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("secret")
        await stage.pilot.press("up")
        assert stage.composer.text == "secret"
        await stage.app.session.use(Keeper(), "memory")
        await stage.pilot.pause()
        assert stage.composer.text == ""
        await stage.pilot.press("up")
        assert stage.composer.text == ""

    play(scene, tmp_path, incognito=True)


def test_figures_are_those_of_the_conversation_that_is_shown(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask()
        assert "ctx 340/2,048" in stage.words
        await stage.pilot.press("ctrl+n")
        await stage.until(lambda: "ctx 0/2,048" in stage.words)
        assert "41.2 tok/s" not in stage.words

    play(scene, tmp_path)


def test_the_welcome_says_where_questions_go(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert "What you write goes to the server at 127.0.0.1." in stage.words
        assert "nothing you write leaves" not in stage.words

    play(scene, tmp_path)
    rows = ["".join(piece.text for piece in row.pieces) for row in welcome_rows(200, None)]
    assert any("nothing you write leaves this machine" in row for row in rows)
