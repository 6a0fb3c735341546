"""Memory, the encrypted history, incognito, and the lock behind an idle keyboard."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input

from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.app import ChatApp
from assistant.tui.link import Link
from assistant.tui.locking import LockScreen, UnlockScreen
from assistant.tui.privacy import Privacy
from benchmarks.scripted_server import first, piece
from tests.assistant.tui.stage import Stage, enter_twice, play

PASSPHRASE = "correct horse"


async def by_name(stage: Stage, name: str, shown: str) -> None:
    """A command of the palette."""
    await stage.pilot.press("ctrl+p")
    await stage.type(name)
    await stage.until(lambda: shown in stage.words)
    await stage.pilot.press("enter")


async def set_passphrase(stage: Stage) -> str:
    """Through the palette, as a person does; the recovery code."""
    await ask_for_the_code(stage)
    code = str(stage.app.screen.query_one(".code").render())
    await stage.type(code[-5:].lower())
    await stage.pilot.press("enter")
    await stage.until(lambda: stage.app.chat.is_active)
    return code


async def ask_for_the_code(stage: Stage) -> None:
    """Set a passphrase, until its recovery code is shown."""
    await type_it_twice(stage)
    await stage.pilot.press("enter")
    await stage.until(lambda: "Recovery code" in stage.words)


async def type_it_twice(stage: Stage) -> None:
    """A new passphrase; Enter is still to be pressed."""
    await by_name(stage, "set a pass", "Keep conversations")
    await stage.until(lambda: isinstance(stage.app.focused, Input) and stage.app.focused.password)
    await stage.type(PASSPHRASE)
    await stage.pilot.press("enter")
    await stage.until(lambda: "The same passphrase again" in stage.words)
    await stage.type(PASSPHRASE)


async def unlock(stage: Stage, passphrase: str = PASSPHRASE) -> None:
    await stage.type(passphrase)
    await stage.pilot.press("enter")


def test_a_passphrase_keeps_what_was_in_memory_and_opens_it_at_the_next_start(tmp_path: Path) -> None:
    codes: list[str] = []

    async def first_time(stage: Stage) -> None:
        await stage.ask("before?")
        assert not (tmp_path / "history").exists()
        codes.append(await set_passphrase(stage))
        assert "saved, encrypted" in stage.words
        await stage.ask("after?")

    async def second_time(stage: Stage) -> None:
        assert isinstance(stage.app.screen, UnlockScreen)
        await unlock(stage, "wrong one")
        await stage.until(lambda: "!" in stage.words and not stage.app.screen.query_one(Input).disabled)
        await unlock(stage)
        await stage.until(lambda: stage.app.session.storage == "saved")
        await stage.pilot.press("ctrl+g")
        await stage.until(lambda: "before?" in stage.words)
        await stage.pilot.press("enter")
        await stage.until(lambda: "after?" in stage.words)
        assert "‹! not supported by [2]" in stage.words

    play(first_time, tmp_path)
    assert Vault(tmp_path / "history").unlock_by_code(codes[0])
    written = b"".join(path.read_bytes() for path in (tmp_path / "history").rglob("*") if path.is_file())
    assert b"before?" not in written
    assert b"anticoagulation" not in written
    play(second_time, tmp_path)


def test_what_was_written_when_the_terminal_is_closed_is_kept(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.type("dvt?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "Half an answer" in stage.words)

    play(scene, tmp_path, [first(), piece("Half an answer"), threading.Event()])
    history = History.open(tmp_path / "history", Vault(tmp_path / "history").unlock(PASSPHRASE))
    (conversation,) = history.conversations(9)
    answer = history.messages(conversation.id)[-1]
    history.close()
    assert (answer.text, answer.state) == ("Half an answer", "stopped")


def test_the_history_can_be_left_locked(tmp_path: Path) -> None:
    Vault(tmp_path / "history").create(PASSPHRASE)
    before = sorted(path.name for path in (tmp_path / "history").iterdir())

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("escape")
        await stage.ask()
        assert "in memory only, not saved" in stage.words

    play(scene, tmp_path)
    assert sorted(path.name for path in (tmp_path / "history").iterdir()) == before


def test_incognito_never_touches_the_disk(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert "incognito: nothing touches the disk" in stage.words
        await stage.ask("secret?")
        assert "not for clinical use · incognito" in stage.words

    play(scene, tmp_path, incognito=True)
    assert list(tmp_path.iterdir()) == []


def test_an_incognito_conversation_beside_a_saved_history_leaves_no_trace(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.app.privacy.incognito(stage.app)
        await stage.ask("secret?")
        await stage.app.privacy.incognito(stage.app)
        assert stage.app.session.turns == []
        assert await stage.app.session.book.keeper.call(lambda history: history.conversations(9)) == []

    play(scene, tmp_path)


def test_without_a_passphrase_an_idle_screen_is_wiped_after_a_warning(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("secret?")
        await stage.type("half a note")
        await stage.until(lambda: "is wiped, since there is no passphrase" in stage.words)
        assert "secret?" in stage.words
        await stage.until(lambda: "wiped: nobody was here" in stage.words)
        assert "secret?" not in stage.words
        assert stage.composer.text == ""
        assert await stage.app.session.book.keeper.call(lambda history: history.conversations(9)) == []

    play(scene, tmp_path, lock_s=2.0)


def test_keys_keep_the_screen_open(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.ask("secret?")
        for _ in range(10):
            await stage.pilot.press("a")
            await stage.pilot.pause(0.2)
        assert "secret?" in stage.words

    play(scene, tmp_path, lock_s=1.5)


def test_the_lock_hides_everything_until_the_passphrase_comes(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.ask("secret?")
        await stage.pilot.press("f1", "ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        for key in ("escape", "ctrl+p", "f1", "ctrl+g", "ctrl+n", "ctrl+o", "pageup"):
            await stage.pilot.press(key)
        assert isinstance(stage.app.screen, LockScreen)
        assert "secret" not in stage.words
        assert "anticoagulation" not in stage.words
        await unlock(stage)
        await stage.until(lambda: "secret?" in stage.words)

    play(scene, tmp_path)


def test_what_asks_for_the_passphrase_of_the_history_does_not_keep_the_lock_away(tmp_path: Path) -> None:
    Vault(tmp_path / "history").create(PASSPHRASE)

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("escape")
        await stage.ask("secret?")
        await by_name(stage, "unlock", "With its passphrase")
        await stage.until(lambda: isinstance(stage.app.screen, UnlockScreen))
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        await stage.pilot.press("escape", "escape")
        assert "secret?" not in stage.words
        await unlock(stage)
        await stage.until(lambda: "secret?" in stage.words)

    play(scene, tmp_path, lock_s=3.0)


def test_the_lock_opens_the_history_as_the_start_does(tmp_path: Path) -> None:
    Vault(tmp_path / "history").create(PASSPHRASE)

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("escape")
        await stage.ask("before?")
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        await unlock(stage)
        await stage.until(lambda: "saved, encrypted" in stage.words)
        await stage.ask("after?")

    play(scene, tmp_path)
    history = History.open(tmp_path / "history", Vault(tmp_path / "history").unlock(PASSPHRASE))
    (conversation,) = history.conversations(9)
    told = [message.text for message in history.messages(conversation.id) if message.role == "user"]
    history.close()
    assert told == ["before?", "after?"]


def test_a_passphrase_that_is_too_short_is_refused_before_it_is_asked_for_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await by_name(stage, "set a pass", "Keep conversations")
        await stage.until(lambda: isinstance(stage.app.focused, Input) and stage.app.focused.password)
        await stage.type("short")
        await stage.pilot.press("enter")
        await stage.until(lambda: "! a passphrase needs at least 8 characters" in stage.words)
        await stage.type(" no longer")
        await stage.pilot.press("enter")
        await stage.until(lambda: "The same passphrase again" in stage.words)

    play(scene, tmp_path)


def test_the_recovery_code_stays_until_its_end_is_typed(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await ask_for_the_code(stage)
        code = str(stage.app.screen.query_one(".code").render())
        await stage.pilot.press("enter", "escape")
        await stage.pilot.click(offset=(1, 1))
        await enter_twice(stage)
        await stage.type("wrong")
        await stage.pilot.press("enter")
        assert code in stage.words
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: isinstance(stage.app.screen, LockScreen))
        assert code not in stage.words
        await unlock(stage)
        await stage.until(lambda: code in stage.words)
        stage.app.screen.query_one(Input).value = code[-5:]
        await stage.pilot.press("enter")
        await stage.until(lambda: stage.app.chat.is_active)

    play(scene, tmp_path)


def test_a_lock_before_the_recovery_code_is_shown_comes_first(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await type_it_twice(stage)
        stage.app.post_message(Key("enter", "\r"))
        while not stage.app.privacy.can_lock:  # and not a moment longer: the history is being opened now
            await asyncio.sleep(0)
        await stage.app.action_lock()
        await stage.until(lambda: stage.app.session.storage == "saved")
        await stage.pilot.pause(0.2)
        assert isinstance(stage.app.screen, LockScreen)
        await unlock(stage)
        await stage.until(lambda: "Recovery code" in stage.words)

    play(scene, tmp_path)


def test_the_prompt_of_the_start_is_asked_once(tmp_path: Path) -> None:
    Vault(tmp_path / "history").create(PASSPHRASE)

    async def scene(stage: Stage) -> None:
        await by_name(stage, "unlock", "With its passphrase")
        await stage.until(lambda: isinstance(stage.app.screen, UnlockScreen))
        await unlock(stage)
        await stage.until(lambda: stage.app.chat.is_active)

    play(scene, tmp_path)


def test_two_enters_behind_a_passphrase_leave_one_screen(tmp_path: Path) -> None:
    Vault(tmp_path / "history").create(PASSPHRASE)

    async def scene(stage: Stage) -> None:
        await stage.pilot.press("escape")
        await by_name(stage, "unlock", "With its passphrase")
        await stage.until(
            lambda: isinstance(stage.app.focused, Input) and stage.app.focused.placeholder == "Passphrase"
        )
        await stage.type(PASSPHRASE)
        await enter_twice(stage)
        await stage.until(lambda: stage.app.session.storage == "saved")
        assert stage.app.chat.is_active
        await stage.ask()

    play(scene, tmp_path)


def test_two_enters_behind_the_second_passphrase_show_the_recovery_code(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await type_it_twice(stage)
        await enter_twice(stage)
        await stage.until(lambda: "Recovery code" in stage.words)
        assert stage.app.chat in stage.app.screen_stack

    play(scene, tmp_path)


def test_a_fault_of_the_program_prints_no_text_of_a_patient(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    app = ChatApp(Link("http://127.0.0.1:1", None), "on", Privacy(tmp_path / "history"))

    def fail() -> None:
        note = "secret of a patient"
        raise RuntimeError(note)

    async def run(pilot: Pilot[object]) -> None:
        pilot.app.call_later(fail)
        await pilot.pause(0.2)

    with suppress(RuntimeError):
        app.run(headless=True, auto_pilot=run)
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err
    assert "error: the terminal failed (RuntimeError at test_privacy.py:" in said.err
    assert app.return_code == 1
