"""Where conversations go: memory, the encrypted history behind a passphrase, or nowhere at all.

Behind the lock the history is closed: nothing in the program holds its database or its key until the passphrase comes. The
conversation that was open stays, to go on with at once. What was freed is not overwritten, as neither Python nor SQLite do:
in a trial a reader of the process's memory found the key, as text, twice, and nearly all of what a search had read, before the
lock and behind it. Against who can read memory only ending the program helps.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from assistant.errors import HistoryError
from assistant.history.conversation import MAX_MESSAGES
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.keeper import Keeper
from assistant.tui.locking import UnlockScreen
from assistant.tui.reader import in_thread
from assistant.tui.session import Session, Storage, not_saved
from models.errors import BedsideError

if TYPE_CHECKING:
    from assistant.tui.app import ChatApp

Result = TypeVar("Result")


class Privacy:
    """The history folder of a terminal, and what of it is open."""

    def __init__(self, folder: Path, *, incognito: bool = False) -> None:
        self.vault = Vault(folder)
        self._incognito = incognito
        self._kept = Keeper()
        """All conversations but incognito ones: the saved history where it is open, else one in memory."""
        self._moving = asyncio.Lock()
        """Held while the history is opened or closed."""
        self.is_open = False
        """Whether conversations are saved."""
        self.is_code_pending = False
        """Whether there is a recovery code of which nobody has said yet that it is written down."""

    @property
    def why_no_lock(self) -> str:
        """Why there is nothing to unlock with; empty where there is a passphrase that can be checked."""
        if self.vault.can_unlock:  # also where the folder has gone since it was unlocked
            return ""
        return "the history's key is unreadable" if self.vault.exists else "there is no passphrase"

    @property
    def can_lock(self) -> bool:
        """Whether there is a passphrase to unlock with."""
        return not self.why_no_lock

    @property
    def _storage(self) -> Storage:
        return "saved" if self.is_open else "memory"

    async def arrive(self, app: "ChatApp") -> None:
        """Where there is a history, ask for it, with a way past."""
        await app.session.use(self._kept, self._storage)
        if self._incognito:
            await self.incognito(app)
        elif self.vault.exists:
            await self.ask(app)

    async def ask(self, app: "ChatApp") -> None:
        """Ask for the passphrase of the history; Esc leaves it as it is."""
        if not isinstance(app.screen, UnlockScreen):  # the palette opens over the one of the start as well
            await app.push_screen(UnlockScreen(app, self))

    async def check(self, passphrase: str) -> bytes:
        """The key. Raises HistoryError where the passphrase is another one, or cannot be checked."""
        return await in_thread(lambda: self.vault.unlock_again(passphrase))

    async def open(self, app: "ChatApp", key: bytes) -> None:
        """Open the history where it is not open yet, and take over what is in memory.

        Raises:
            BedsideError: it cannot be opened; conversations are in memory then, the one on the screen with them.
        """
        async with self._moving:
            if not self.is_open:
                await self._open(app, key)

    async def _open(self, app: "ChatApp", key: bytes) -> None:
        session = app.session
        keeper = Keeper(lambda: History.open(self.vault.folder, key))
        try:
            await keeper.opened()
            await session.settled()
            if not self._kept.is_closed:
                await keeper.adopt(self._kept)
        except BedsideError:
            keeper.close()
            await self._go_on_in_memory(session)
            app.chat.grew()
            raise
        self._kept, self.is_open = keeper, True
        if session.storage != "incognito":
            session.book.keeper, session.storage = keeper, "saved"
        app.chat.grew()

    async def _go_on_in_memory(self, session: Session) -> None:
        """With the conversation on the screen, where the history was closed behind the lock and does not open again."""
        if not self._kept.is_closed:
            return
        self._kept = Keeper()
        if session.storage == "saved":
            book = session.book
            session.storage = "memory"
            if (conversation := book.conversation) is not None and not book.is_removed:
                shown = [(conversation, book.messages[:MAX_MESSAGES])]
                await self._kept.call(lambda history: history.take_in(shown, "adopted"))
            book.moved(self._kept)

    async def call(self, work: Callable[[History], Result]) -> Result:
        """What `work` returns from the saved history. Raises HistoryError, as the history does, or where it is not open."""
        if not self.is_open:
            raise HistoryError("the history is not open; unlock it first")
        return await self._kept.call(work)

    async def shut(self, app: "ChatApp") -> None:
        """Close the history behind the lock, when it has all that was given to it."""
        async with self._moving:
            await app.session.settled()
            if self.is_open:
                self.is_open = False
                await self._kept.closed()

    async def create(self, app: "ChatApp", passphrase: str) -> str:
        """Set a passphrase: from now on conversations are saved, those in memory as well. The recovery code.

        Raises HistoryError.
        """
        session = app.session
        session.stop()
        await session.settled()
        key, code = await in_thread(lambda: self.vault.create(passphrase))
        self.is_code_pending = True
        try:
            await self.open(app, key)
        except BedsideError as error:  # there is a key and a code now, and the code must be seen
            app.chat.told(not_saved(error))
        return code

    async def incognito(self, app: "ChatApp") -> None:
        """A new conversation that never touches the disk; or the end of it, and of all that was in it."""
        if app.session.storage == "incognito":
            gone = app.session.book.keeper
            await app.session.use(self._kept, self._storage)
            gone.close()
        else:
            await app.session.use(Keeper(), "incognito")

    async def wipe(self, app: "ChatApp") -> None:
        """Forget everything on the screen and in memory, and let go of the history."""
        gone = {self._kept, app.session.book.keeper}
        self._kept, self.is_open = Keeper(), False
        is_incognito = app.session.storage == "incognito"
        await app.session.use(Keeper() if is_incognito else self._kept, "incognito" if is_incognito else self._storage)
        for keeper in gone:
            keeper.close()
        app.chat.wipe()

    async def lost_by_leaving(self, app: "ChatApp") -> list[str]:
        """What would be gone if the terminal ended now, in words; saved and incognito conversations are not."""
        lost = []
        if self.is_code_pending:
            lost.append("the recovery code, which nobody has confirmed to have written down")
        if not (self.is_open or self._kept.is_closed) and (count := await self._kept.call(_answered)):
            lost.append(f"{count} conversation{'' if count == 1 else 's'}, in memory only")
        if app.session.storage != "incognito" and not app.session.book.is_saved:
            lost.append("what is not saved of the conversation on the screen")
        if len(app.chat.unsent) >= _LONG_DRAFT:
            lost.append("what you are writing")
        return lost

    async def close(self) -> None:
        """Close the history, when it has all that was given to it."""
        await self._kept.closed()


_LONG_DRAFT = 200
"""Characters that nobody writes again gladly."""


def _answered(history: History) -> int:
    """How many conversations have an answer."""
    return sum(
        any(message.role == "assistant" and message.text for message in history.messages(each.id))
        for each in history.conversations(limit=-1)
    )
