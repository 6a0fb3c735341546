"""The lock: nothing of a conversation is on the screen, and the passphrase alone leads on."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from assistant.tui.dialogs import Leaving
from assistant.tui.notices import say
from assistant.tui.upkeep import apply_retention, attempt
from models.errors import BedsideError

if TYPE_CHECKING:
    from assistant.tui.app import ChatApp
    from assistant.tui.privacy import Privacy

_GO_ON = "Enter unlocks · Esc goes on in memory, the history stays as it is"


class PassphraseScreen(Leaving[bool]):
    """Asks for the passphrase of the history; True where it was right, None where the history was left alone."""

    HEAD: ClassVar[str] = "Bedside · your history is locked"
    KEYS: ClassVar[str] = _GO_ON

    def __init__(self, chat: "ChatApp", privacy: "Privacy") -> None:
        super().__init__()
        self._chat, self._privacy = chat, privacy

    def compose(self) -> ComposeResult:
        """A line for the passphrase."""
        with Vertical(classes="box"):
            yield Static(self.HEAD, classes="title", markup=False)
            yield Input(password=True, placeholder="Passphrase")
            yield Static("", classes="fault", markup=False)
            yield Static(f"{self.KEYS} · Ctrl+Q quits", classes="keys", markup=False)
            yield Static("Forgotten? `bedside history recover` takes the recovery code.", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Ready for the passphrase; what no passphrase would help against is said at once."""
        self.styles.align = ("center", "middle")
        self.query_one(Input).focus()
        if not self._privacy.vault.can_unlock:
            try:
                self._privacy.vault.require()
            except BedsideError as error:
                self.query_one(".fault", Static).update(f"! {error}")

    @on(Input.Submitted)
    async def unlock(self, event: Input.Submitted) -> None:
        """Try it; scrypt takes its time on purpose."""
        if not self.is_active:
            return
        line, fault = self.query_one(Input), self.query_one(".fault", Static)
        line.disabled = True
        fault.update("checking …")
        refused = ""
        try:
            await self.enter(await self._privacy.check(event.value))
        except BedsideError as error:
            refused = f"! {error}"
        if not refused and self.is_active:
            self.dismiss(True)
        elif self.is_attached:
            fault.update(refused)
            line.disabled = False
            line.value = ""
            line.focus()

    async def enter(self, key: bytes) -> None:
        """The passphrase was right. Raises BedsideError where the history does not open all the same."""
        await self._privacy.open(self._chat, key)


class UnlockScreen(PassphraseScreen):
    """Asks for the passphrase while conversations are in memory; Esc leaves the history as it is. It locks nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Without it", show=False)]

    def action_leave(self) -> None:
        """Go on without the history."""
        self.dismiss(None)

    async def enter(self, key: bytes) -> None:
        """Open the history, and remove what was kept in it for long enough. Raises BedsideError."""
        await super().enter(key)
        self._chat.carry_out(partial(attempt, self._chat, apply_retention))


class LockScreen(PassphraseScreen):
    """Hides everything, until the passphrase comes."""

    HEAD = "Bedside · locked"
    KEYS = "Enter unlocks"

    async def enter(self, key: bytes) -> None:
        """Whoever has the passphrase sees the conversation again, whatever has become of the database."""
        try:
            await super().enter(key)
        except BedsideError as error:
            say(self._chat, f"from here on in memory only, not saved: {error}", "error")
