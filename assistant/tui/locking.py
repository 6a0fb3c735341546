"""The lock: nothing of a conversation is on the screen, and the passphrase alone leads on."""

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from assistant.tui.dialogs import Leaving
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
        """Ready for the passphrase."""
        self.styles.align = ("center", "middle")
        self.query_one(Input).focus()

    @on(Input.Submitted)
    async def unlock(self, event: Input.Submitted) -> None:
        """Try it; scrypt takes its time on purpose."""
        if not self.is_active:
            return
        line, fault = self.query_one(Input), self.query_one(".fault", Static)
        line.disabled = True
        fault.update("checking …")
        told = ""
        try:
            await self._privacy.unlock(self._chat, event.value)
        except BedsideError as error:
            told = f"! {error}"
        if not told and self.is_active:
            self.dismiss(True)
        elif self.is_attached:
            fault.update(told)
            line.disabled = False
            line.value = ""
            line.focus()


class UnlockScreen(PassphraseScreen):
    """Asks for the passphrase while conversations are in memory; Esc leaves the history as it is. It locks nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Without it", show=False)]

    def action_leave(self) -> None:
        """Go on without the history."""
        self.dismiss(None)


class LockScreen(PassphraseScreen):
    """Hides everything, until the passphrase comes."""

    HEAD = "Bedside · locked"
    KEYS = "Enter unlocks"
