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
    from assistant.tui.privacy import Privacy


class LockScreen(Leaving[bool]):
    """Asks for the passphrase; True where it was right, None where the history was left alone at the start."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "pass_by", "Without it", show=False)]

    def __init__(self, privacy: "Privacy", *, at_start: bool = False) -> None:
        super().__init__()
        self._privacy, self._at_start = privacy, at_start

    def compose(self) -> ComposeResult:
        """A line for the passphrase."""
        title = "Bedside · your history is locked" if self._at_start else "Bedside · locked"
        keys = (
            "Enter unlocks · Esc goes on in memory, the history stays as it is" if self._at_start else "Enter unlocks"
        )
        with Vertical(classes="box"):
            yield Static(title, classes="title", markup=False)
            yield Input(password=True, placeholder="Passphrase")
            yield Static("", classes="fault", markup=False)
            yield Static(f"{keys} · Ctrl+Q quits", classes="keys", markup=False)
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
        try:
            await self._privacy.unlock(event.value)
        except BedsideError as error:
            fault.update(f"! {error}")
            line.disabled = False
            line.value = ""
            line.focus()
            return
        self.dismiss(True)

    def action_pass_by(self) -> None:
        """Only before anything was shown."""
        if self._at_start:
            self.dismiss(None)
