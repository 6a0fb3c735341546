"""What is done with the whole history: its passphrase, a backup, how long conversations are kept, a purge."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App

from assistant.errors import HistoryError
from assistant.history.backup import back_up
from assistant.history.conversation import MAX_DAYS, counted
from assistant.history.store import History
from assistant.history.vault import MIN_PASSPHRASE_LENGTH, check_passphrase
from assistant.tui.dialogs import AskLine, Confirm, RecoveryCode, answer
from assistant.tui.notices import say
from assistant.tui.reader import in_thread
from models.errors import BedsideError

if TYPE_CHECKING:
    from assistant.tui.app import ChatApp


async def attempt(app: "ChatApp", work: Callable[["ChatApp"], Awaitable[None]]) -> None:
    """Do one of these; what the history refuses is said."""
    try:
        await work(app)
    except BedsideError as error:
        say(app, str(error), "error")


async def set_passphrase(app: "ChatApp") -> None:
    """Ask for it twice, set it, and show the recovery code once."""
    passphrase = await _new_passphrase(app, "A passphrase for your history")
    if passphrase is not None:
        code = await app.privacy.create(app, passphrase)
        await app.unlocked.wait()  # it may have locked meanwhile, and the code goes only to whoever can unlock
        await answer(app, RecoveryCode(code))
        app.privacy.is_code_pending = False


async def _new_passphrase(app: "ChatApp", what: str) -> str | None:
    title = f"{what}: at least {MIN_PASSPHRASE_LENGTH} characters"
    first = await answer(app, AskLine(title, hidden=True, check=check_passphrase))
    if not first:
        return None
    second = await answer(app, AskLine("The same passphrase again", hidden=True))
    if second and second != first:
        say(app, "the two were not the same; nothing was set", "warning")
    return first if second == first else None


async def change_passphrase(app: "ChatApp") -> None:
    """Ask for the present one, and twice for another."""
    former = await answer(app, AskLine("The present passphrase", hidden=True))
    if not former:
        return
    await app.privacy.check(former)
    new = await _new_passphrase(app, "The new passphrase")
    if new is not None:
        await in_thread(partial(app.privacy.vault.change, former, new))
        say(app, "the passphrase is changed; the recovery code is the same, backups open as before")
        await app.privacy.call(partial(History.record, what="passphrase changed", count=1))


async def back_up_history(app: "ChatApp") -> None:
    """Ask for a file, and write everything into it, encrypted."""
    title = "Back up into a file, encrypted: it opens with the passphrase and the recovery code of today"
    if (target := await ask_file(app, title, "~/bedside-history.backup")) is not None:
        path, force = target
        await app.privacy.call(partial(back_up, folder=app.privacy.vault.folder, path=path, force=force))
        say(app, f"backed up to {path}, encrypted")


async def ask_file(app: App[Any], title: str, proposed: str) -> tuple[Path, bool] | None:
    """A file to write, and whether it takes the place of another; None where that was not meant."""
    written = await answer(app, AskLine(title, proposed, check=_target))
    if not written:
        return None
    path = _target(written)
    if not path.is_file():
        return path, False
    return (path, True) if await answer(app, Confirm(f"{path} exists already: replace it?")) else None


def _target(written: str) -> Path:
    """Raises HistoryError where no file could be written there."""
    try:
        path = Path(written).expanduser()
    except RuntimeError as error:
        raise HistoryError(f"{written.partition('/')[0]} is no user of this machine; give another path") from error
    if written and (path.is_dir() or (path.exists() and not path.is_file())):
        raise HistoryError(f"{path} is there already and no file; give another path")
    return path


async def keep_for_days(app: "ChatApp") -> None:
    """Show for how long conversations are kept, ask for how long they shall be, and remove what is older."""
    kept_days = await app.privacy.call(lambda history: history.retention_days)
    title = "Keep conversations so many days after their last message, or: off"
    written = await answer(app, AskLine(title, str(kept_days or "off"), check=partial(_days, other="off")))
    if written is None:
        return
    days = _days(written, other="off")
    question = (
        f"Keep conversations {days} days? Older ones are removed for good, now and whenever the history is opened."
    )
    if days is None or await answer(app, Confirm(question)):
        await app.privacy.call(partial(History.set_retention, days=days))
        say(app, "all conversations are kept" if days is None else f"kept {days} days after the last message")
        await apply_retention(app)


async def apply_retention(app: "ChatApp") -> None:
    """Remove what was kept long enough: how much that was, or what is in the way of it, is said."""
    removed, reason = await app.privacy.call(lambda history: history.apply_retention())
    if reason is not None:
        say(app, f"no conversation was removed by its age: {reason}", "warning")
    elif removed:
        say(app, f"kept long enough, and removed for good: {counted(removed)}")
        await _leave_what_is_gone(app)


async def purge_history(app: "ChatApp") -> None:
    """Ask from which age on, ask once more, and remove conversations for good."""
    title = "Purge conversations without a message in so many days, or: all"
    written = await answer(app, AskLine(title, check=partial(_days, other="all")))
    if written is None:
        return
    days = _days(written, other="all")
    count = await app.privacy.call(lambda history: len(history.conversations(limit=-1)))
    what = f"all conversations ({count:,})" if days is None else f"conversations without a message in {days} days"
    question = f"Remove {what} for good?\nHistories that were kept aside go too; backups and exports elsewhere stay."
    if await answer(app, Confirm(question)):
        purged = await app.privacy.call(partial(History.purge, older_than_days=days))
        say(app, f"removed for good: {counted(purged.conversations)}")
        if not purged.is_compact:
            left = "the file is not made anew, since another terminal reads it or the disk is full: purge again"
            say(app, f"their text is overwritten; {left}", "warning")
        await _leave_what_is_gone(app)


async def _leave_what_is_gone(app: "ChatApp") -> None:
    """Begin a new conversation where the one on the screen was removed."""
    shown = app.session.book.conversation
    if shown is not None and app.session.storage == "saved":
        left = await app.privacy.call(lambda history: history.conversations(limit=-1))
        if shown.id not in {each.id for each in left}:
            await app.session.new()


def _days(written: str, *, other: str) -> int | None:
    """Days; None for the other word. Raises HistoryError."""
    text = written.strip()
    if text.casefold() == other:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_DAYS):
        raise HistoryError(f"give 1 to {MAX_DAYS:,} days, or {other}")
    return int(text)
