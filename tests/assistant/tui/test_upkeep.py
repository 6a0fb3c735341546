"""What is done with the whole history from the palette: passphrase, backup, retention, purge."""

from datetime import timedelta
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from assistant.history.backup import restore
from assistant.history.conversation import Message, new_id, now
from assistant.history.place import database_file
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.dialogs import AskLine, Confirm
from assistant.tui.upkeep import ask_file
from tests.assistant.tui.stage import Stage, play
from tests.assistant.tui.test_history_screen import answer
from tests.assistant.tui.test_privacy import PASSPHRASE, by_name, set_passphrase, unlock

OTHER = "battery staple"


async def agree(stage: Stage, shown: str) -> None:
    await stage.until(lambda: isinstance(stage.app.screen, Confirm) and shown in stage.words)
    await stage.pilot.press("y")


def old(history: History) -> None:
    """A conversation of a year ago."""
    begun = history.start("long ago")
    history.add(begun.id, Message(new_id(), None, "user", "long ago", now() - timedelta(days=365), "complete"))
    history._connection.execute("UPDATE conversation SET changed_at = '2020-01-01T00:00:00.000000+00:00'")


async def titles(stage: Stage) -> list[str]:
    return [each.title for each in await stage.app.privacy.call(lambda history: history.conversations(9))]


@pytest.mark.slow
def test_passphrase_backup_retention_and_purge(tmp_path: Path) -> None:
    backup = tmp_path / "all.backup"

    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await stage.app.privacy.call(old)
        await stage.ask("today?")
        await change_the_passphrase(stage)
        await back_up_twice(stage, backup)
        await keep_for_days(stage)
        await purge_all(stage)

    play(scene, tmp_path)
    Vault(tmp_path / "history").unlock(OTHER)
    restore(tmp_path / "restored", backup, OTHER, force=False)
    assert database_file(tmp_path / "restored").exists()


async def change_the_passphrase(stage: Stage) -> None:
    await by_name(stage, "change the pass", "The recovery code stays")
    for passphrase in (PASSPHRASE, OTHER, OTHER):
        await stage.until(lambda: isinstance(stage.app.focused, Input) and not stage.app.focused.value)
        await stage.type(passphrase)
        await stage.pilot.press("enter")
    await stage.until(lambda: "the passphrase is changed" in stage.words)


async def back_up_twice(stage: Stage, backup: Path) -> None:
    await by_name(stage, "back up", "Into one encrypted file")
    await answer(stage, str(backup))
    await stage.until(lambda: "backed up to" in stage.words)
    before = backup.stat().st_mtime_ns
    await by_name(stage, "back up", "Into one encrypted file")
    await answer(stage, str(backup))
    await agree(stage, "replace it?")
    await stage.until(lambda: backup.stat().st_mtime_ns > before)


async def keep_for_days(stage: Stage) -> None:
    await by_name(stage, "retention", "How many days")
    await answer(stage, "soon")
    await stage.until(lambda: "! give 1 to 36,500 days, or off" in stage.words)
    await answer(stage, "90")
    await agree(stage, "Keep conversations 90 days?")
    await stage.until(lambda: "kept 90 days" in stage.words)
    assert await stage.app.privacy.call(lambda history: history.retention_days) == 90
    await by_name(stage, "retention", "How many days")
    await stage.until(lambda: isinstance(stage.app.screen, AskLine))
    assert stage.app.screen.query_one(Input).value == "90"
    await answer(stage, "OFF")
    await stage.until(lambda: "all conversations are kept" in stage.words)


async def purge_all(stage: Stage) -> None:
    assert "today?" in stage.words
    await by_name(stage, "purge", "Remove old conversations")
    await answer(stage, "all")
    await stage.until(lambda: isinstance(stage.app.screen, Confirm))
    await stage.pilot.press("n")
    left = len(await titles(stage))
    assert left in (1, 2)  # of a clock that can be believed retention has removed one
    await by_name(stage, "purge", "Remove old conversations")
    await answer(stage, "all")
    await agree(stage, f"Remove all conversations ({left})")
    await stage.until(lambda: f"removed for good: {left} conversation" in stage.words)
    assert await titles(stage) == []
    await stage.until(lambda: stage.app.session.turns == [])
    await stage.ask("and now?")
    assert await titles(stage) == ["and now?"]


@pytest.mark.slow
def test_what_the_history_refuses_is_told(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await set_passphrase(stage)
        await by_name(stage, "change the pass", "The recovery code stays")
        await stage.until(lambda: isinstance(stage.app.focused, Input) and stage.app.focused.password)
        await stage.type("wrong one")
        await stage.pilot.press("enter")
        await stage.until(lambda: "this does not open the history" in stage.words)
        await by_name(stage, "back up", "Into one encrypted file")
        await answer(stage, str(tmp_path / "nowhere" / "all.backup"))
        await stage.until(lambda: "create its folder first" in stage.words)
        # Locked while a dialog is open, nothing goes on behind the lock.
        await by_name(stage, "purge", "Remove old conversations")
        await stage.until(lambda: isinstance(stage.app.screen, AskLine))
        await stage.app.action_lock()
        await unlock(stage)
        await stage.until(lambda: stage.app.chat.is_active)

    play(scene, tmp_path)


def test_the_palette_has_its_own_order_until_something_is_typed(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        await stage.pilot.press("ctrl+p")
        await stage.until(lambda: "Help" in stage.words and "Answer again" in stage.words)
        shown = stage.app.screen.query_one(OptionList)
        names = [str(shown.get_option_at_index(place).prompt).split("\n")[0] for place in range(shown.option_count)]
        assert names[:4] == ["Help", "New conversation", "History", "Stop"]
        assert names[-1] == "Quit"

    play(scene, tmp_path)


def test_a_file_name_that_leads_nowhere_is_asked_for_again(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        asked = stage.app.run_worker(ask_file(stage.app, "A file", "~nosuch/x.md"), exclusive=False)
        await stage.until(lambda: "~nosuch" in stage.words)
        await stage.pilot.press("enter")
        await stage.until(lambda: "! ~nosuch is no user of this machine; give another path" in stage.words)
        stage.app.screen.query_one(Input).value = str(tmp_path)
        await stage.pilot.press("enter")
        await stage.until(lambda: "no file; give another path" in stage.words)
        stage.app.screen.query_one(Input).value = str(tmp_path / "x.md")
        await stage.pilot.press("enter")
        assert await asked.wait() == (tmp_path / "x.md", False)

    play(scene, tmp_path)
