"""Small questions over the conversation: a line of text, a passphrase, yes or no; and words to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Click, Key
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from assistant.plaintext import plain, plain_line
from assistant.tui.welcome import HELP
from models.errors import BedsideError

Result = TypeVar("Result")


class Leaving(Screen[Result]):
    """A screen that is left once: two Enters that come together must not close the screen below as well."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Leave it with a result; does nothing where it is left already, or something is over it."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(ModalScreen[Result], Leaving[Result]):
    """Something over the conversation; Esc closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", show=False)]

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)

    @on(Click)
    def leave_by_mouse(self, event: Click) -> None:
        """A click beside it closes it."""
        if event.widget is self:
            self.action_leave()


async def answer(app: App[Any], dialog: Dialog[Result]) -> Result | None:
    """What it was answered, in a worker; None where it was left."""
    return await app.push_screen_wait(dialog)


def clickable(*actions: tuple[str, str]) -> Text:
    """Words of the program that carry out an action of the screen when they are clicked, with dots between them."""
    text = Text()
    for words, action in actions:
        text.append(" · " if text else "").append(words, Style(underline=True, meta={"@click": f"screen.{action}"}))
    return text


class AskLine(Dialog[str]):
    """Asks for a line of text; None where it was left. What `check` raises a BedsideError for is refused and asked again."""

    def __init__(
        self, title: str, text: str = "", *, hidden: bool = False, check: Callable[[str], object] | None = None
    ) -> None:
        super().__init__()
        self._asked, self._text, self._hidden, self._check = title, plain_line(text), hidden, check

    def compose(self) -> ComposeResult:
        """A title and a line."""
        with Vertical(classes="box"):
            yield Static(self._asked, classes="title", markup=False)
            yield Input(self._text, password=self._hidden)
            yield Static("", classes="fault", markup=False)
            yield Static("Enter takes it · Esc leaves", classes="keys", markup=False)

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """The line as it stands, where it will do."""
        try:
            if self._check is not None:
                self._check(event.value)
        except BedsideError as error:
            self.query_one(".fault", Static).update(f"! {error}")
            return
        self.dismiss(plain_line(event.value) if not self._hidden else event.value)


class Confirm(Dialog[bool]):
    """Asks before something is gone: True on y, else None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "agree", "Yes"), Binding("n", "leave", "No", show=False)]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(classes="box"):
            yield Static(plain(self._question), classes="title", markup=False)
            yield Static(clickable(("y yes", "agree"), ("n, Esc no", "leave")), classes="keys")

    def action_agree(self) -> None:
        """Yes."""
        self.dismiss(True)


@dataclass(frozen=True)
class Choice:
    """A key, what it stands for, and what is made of it."""

    key: str
    words: str
    result: bool


class Choose(Dialog[bool]):
    """Asks which of some; None where it was left."""

    def __init__(self, question: str, told: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._question, self._told, self._choices = question, told, choices

    def compose(self) -> ComposeResult:
        """The question, what there is to know before an answer, and the keys."""
        with Vertical(classes="box"):
            yield Static(self._question, classes="title", markup=False)
            yield Static(self._told, classes="words", markup=False)
            keys = [(f"{each.key} {each.words}", f"choose('{each.key}')") for each in self._choices]
            yield Static(clickable(*keys, ("Esc leaves", "leave")), classes="keys")

    def on_key(self, event: Key) -> None:
        """One of the keys."""
        self.action_choose(event.key)

    def action_choose(self, key: str) -> None:
        """What stands for it."""
        for each in self._choices:
            if each.key == key:
                self.dismiss(each.result)


class Quit(Confirm):
    """Asks before the terminal ends and takes something with it; where it is no key that was pressed twice, Ctrl+Q agrees."""

    def __init__(self, lost: Sequence[str], *, again_agrees: bool) -> None:
        super().__init__("Quit? Gone for good would be:\n" + "\n".join(f"  {each}" for each in lost))
        self.again_agrees = again_agrees
        """Whether the key that asked for the end agrees as well."""

    def compose(self) -> ComposeResult:
        """The question."""
        yes = "y, Ctrl+Q quit" if self.again_agrees else "y quits"
        with Vertical(classes="box"):
            yield Static(plain(self._question), classes="title", markup=False)
            yield Static(clickable((yes, "agree"), ("n, Esc stay", "leave")), classes="keys")


class RecoveryCode(Dialog[None]):
    """Shows the recovery code, once: it goes only when its last group is typed, and stays where it is behind the lock."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def compose(self) -> ComposeResult:
        """What it is for, the code, and a line for its last group."""
        told = (
            "Without the passphrase this code alone opens your history. It is shown once and kept nowhere: write it "
            "down, and keep it where you keep keys."
        )
        with Vertical(classes="box"):
            yield Static("Recovery code", classes="title", markup=False)
            yield Static(told, classes="words", markup=False)
            yield Static(self._code, classes="code", markup=False)
            yield Input(placeholder="Its last five letters and digits, as you wrote them down")
            yield Static("", classes="fault", markup=False)
            yield Static("Enter closes it for good, once they are right", classes="keys", markup=False)

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Whoever has its end has written it down."""
        if event.value.strip().upper() == self._code.rsplit("-", 1)[-1]:
            self.dismiss(None)
        else:
            self.action_leave()

    def action_leave(self) -> None:
        """Neither Esc nor a click closes it."""
        if self.is_active:
            self.query_one(".fault", Static).update("! write the code down, then type its last group here")


class Help(Dialog[None]):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1,q", "leave", "Close", show=False)]

    def compose(self) -> ComposeResult:
        """Tables of keys."""
        with Vertical(classes="box", id="help"):
            yield Static(clickable(("Help: Esc closes", "leave")), classes="title")
            with VerticalScroll():
                yield Static(_help_text(HELP))


def _help_text(parts: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> Text:
    text = Text()
    for title, keys in parts:
        text.append(f"{title}\n", "bold underline")
        for key, what in keys:
            text.append(f"  {key:<18} ", "bold").append(f"{what}\n")
        text.append("\n")
    return text
