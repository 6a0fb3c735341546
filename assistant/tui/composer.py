"""Where the question is written: one line or many, with the earlier questions behind the arrow keys."""

from typing import cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.drivers import linux_driver
from textual.events import Key, Paste
from textual.keys import Keys
from textual.message import Message
from textual.widgets import TextArea

from assistant.plaintext import plain
from assistant.tui.pasting import PasteParser

LONG_LINES = 6
LONG_CHARACTERS = 600
"""A paste that is longer than either is the patient's note, not the question."""


# Most terminals say Alt+Enter as ESC CR, of which Textual 8.2 makes Enter: half a question would be sent. What it reads
# together it has no other meaning for; an Esc that is pressed before Enter comes alone, after ESCDELAY.
cast("dict[str, tuple[Keys, ...]]", ANSI_SEQUENCES_KEYS).setdefault("\x1b\r", (Keys.ControlJ,))
vars(linux_driver)["XTermParser"] = PasteParser  # the driver makes it by this name, and there is no other way to choose
_ENDS = ("enter", "ctrl+j", "alt+enter", "shift+enter")


class Composer(TextArea):
    """Enter sends, Ctrl+J and Alt+Enter begin a new line; what is pasted is never sent.

    Shift+Enter begins one as well where a terminal tells it apart from Enter, which many do not.
    """

    class Sent(Message):
        """The question is to be asked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class NotePasted(Message):
        """A long text was pasted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            id="composer", soft_wrap=True, show_line_numbers=False, tab_behavior="focus", placeholder="Ask a question"
        )
        self.cursor_blink = False  # calm, and nothing to send over a slow line
        self._past: list[str] = []
        self._at: int | None = None
        self._draft = ""

    def remember(self, text: str) -> None:
        """Put a question behind the arrow keys."""
        if text and self._past[-1:] != [text]:
            self._past.append(text)
        self._at = None

    def forget(self) -> None:
        """Leave nothing of what was written."""
        self._past, self._at, self._draft = [], None, ""
        self.load_text("")

    def write(self, text: str) -> None:
        """Let it hold this text, the cursor behind it."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def send(self) -> None:
        """Ask."""
        self.post_message(self.Sent(self.text))

    def take(self, text: str) -> None:
        """Leave only what was written after this."""
        self.write(self.text.removeprefix(text))

    async def _on_key(self, event: Key) -> None:
        # Not by bindings: those are carried out before the keys that came in one piece with them over a slow line.
        if event.key in _ENDS:
            event.stop()
            event.prevent_default()
            if event.key == "enter":
                self.send()
            else:
                self.insert("\n")
            return
        row = self.cursor_location[0]
        step = {"up": -1, "down": 1}.get(event.key)
        at_edge = (step == -1 and row == 0) or (step == 1 and row == self.document.line_count - 1)
        if step is not None and at_edge and self._recall(step):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    def _recall(self, step: int) -> bool:
        """Go through the earlier questions; False where there is none further on."""
        at = len(self._past) if self._at is None else self._at
        if not 0 <= at + step <= len(self._past) or (self._at is None and step == 1):
            return False
        if self._at is None:
            self._draft = self.text
        self._at = at + step
        if self._at == len(self._past):
            self._at = None
            self.write(self._draft)
        else:
            self.write(self._past[self._at])
        return True

    async def _on_paste(self, event: Paste) -> None:
        text = plain(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        event.stop()
        event.prevent_default()
        if len(text) > LONG_CHARACTERS or text.strip().count("\n") >= LONG_LINES:
            self.post_message(self.NotePasted(text.strip()))
        else:
            self.replace(text, *self.selection)
