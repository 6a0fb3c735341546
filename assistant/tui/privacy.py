"""Where conversations go: memory, the encrypted history behind a passphrase, or nowhere at all."""

from pathlib import Path
from typing import TYPE_CHECKING

from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.tui.keeper import Keeper
from assistant.tui.locking import UnlockScreen
from assistant.tui.reader import in_thread
from assistant.tui.session import Storage

if TYPE_CHECKING:
    from assistant.tui.app import ChatApp


class Privacy:
    """The history folder of a terminal, and what of it is open."""

    def __init__(self, folder: Path, *, incognito: bool = False) -> None:
        self._folder, self._incognito = folder, incognito
        self._vault = Vault(folder)
        self._kept = Keeper()
        """All conversations but incognito ones: the saved history where it is open, else one in memory."""
        self.is_open = False
        """Whether conversations are saved."""

    @property
    def can_lock(self) -> bool:
        """Whether there is a passphrase to unlock with."""
        return self._vault.exists

    @property
    def _storage(self) -> Storage:
        return "saved" if self.is_open else "memory"

    async def arrive(self, app: "ChatApp") -> None:
        """Where there is a history, ask for it, with a way past."""
        await app.session.use(self._kept, self._storage)
        if self._incognito:
            await self.incognito(app)
        elif self._vault.exists:
            await self.ask(app)

    async def ask(self, app: "ChatApp") -> None:
        """Ask for the passphrase of the history; Esc leaves it as it is."""
        if not isinstance(app.screen, UnlockScreen):  # the palette opens over the one of the start as well
            await app.push_screen(UnlockScreen(app, self))

    async def unlock(self, app: "ChatApp", passphrase: str) -> None:
        """Check the passphrase, and open the history where it is not open yet. Raises HistoryError."""
        key = await in_thread(lambda: self._vault.unlock(passphrase))
        if not self.is_open:
            await self._open(app, key)

    async def _open(self, app: "ChatApp", key: bytes) -> None:
        """The history instead of that in memory, which it takes over with the conversation that is open."""
        session = app.session
        keeper = Keeper(lambda: History.open(self._folder, key))
        await keeper.opened()
        await session.settled()
        await keeper.adopt(self._kept)
        self._kept, self.is_open = keeper, True
        if session.storage == "memory":
            session.book.keeper, session.storage = keeper, "saved"
            app.chat.grew()

    async def create(self, app: "ChatApp", passphrase: str) -> str:
        """Set a passphrase: from now on conversations are saved, those in memory as well. The recovery code.

        Raises HistoryError.
        """
        session = app.session
        session.stop()
        await session.settled()
        key, code = await in_thread(lambda: self._vault.create(passphrase))
        await self._open(app, key)
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
        """Forget everything: it was in memory only."""
        gone = {self._kept, app.session.book.keeper}
        self._kept = Keeper()
        await app.session.use(self._kept if app.session.storage == "memory" else Keeper(), app.session.storage)
        for keeper in gone:
            keeper.close()
        app.chat.wipe()
        app.chat.doing("wiped: nobody was here for a while, and there is no passphrase to lock with")

    async def close(self) -> None:
        """Close the history, when it has all that was given to it."""
        await self._kept.closed()
