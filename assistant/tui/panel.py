"""The passage behind a citation, beside the conversation, or over it on a narrow screen."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from assistant.client.wording import origin
from assistant.knowledge.claims.marks import normalized
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain, plain_line
from models.sentences import split_sentences


class SourcePanel(VerticalScroll, can_focus=True):
    """One passage of an answer's. It takes the keys only by Tab: whoever opens it may be about to write."""

    FOCUS_ON_CLICK = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Passage before", show=False),
        Binding("right", "step(1)", "Next passage", show=False),
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="panel")
        self._sources: tuple[LibraryPassage, ...] = ()
        self._answer = ""
        self._number = 0

    def compose(self) -> ComposeResult:
        """A text that is no markup."""
        yield Static(id="passage", markup=False)

    @property
    def number(self) -> int | None:
        """Which passage is open."""
        return self._number if self.has_class("-shown") else None

    def open(self, sources: Sequence[LibraryPassage], number: int, answer: str) -> bool:
        """Show a passage; False where there is none of that number."""
        if not 1 <= number <= len(sources):
            return False
        self._sources, self._number, self._answer = tuple(sources), number, answer
        self.query_one("#passage", Static).update(self._text())
        self.add_class("-shown")
        self.scroll_home(animate=False)
        return True

    def close(self) -> None:
        """Hide it."""
        self.remove_class("-shown")
        self.query_one("#passage", Static).update("")
        self._sources = ()

    def action_step(self, step: int) -> None:
        """The next passage, or the one before."""
        self.open(self._sources, self._number + step, self._answer)

    def _text(self) -> Text:
        source = self._sources[self._number - 1]
        quoted = {normalized(sentence.text) for sentence in split_sentences(self._answer)}
        text = Text(no_wrap=False, overflow="fold")
        text.append(f"[{self._number}] {plain_line(source.grounding.heading)}\n", "bold")
        text.append(f"{plain_line(source.date) or 'no date'} · {plain_line(source.position)}\n")
        text.append(f"{origin(source)}\n{plain_line(source.licence)} · {plain_line(source.id)}\n\n")
        said = plain(source.text)
        for sentence in split_sentences(said):
            is_quoted = normalized(sentence.text) in quoted
            text.append(f"» {sentence.text}" if is_quoted else sentence.text, "bold underline" if is_quoted else "")
            text.append(said[sentence.end : sentence.end + 2] if "\n" in said[sentence.end : sentence.end + 2] else " ")
        text.append(
            f"\n\n» quoted in the answer · Ctrl+O the next of {len(self._sources)} · PgUp PgDn · Esc closes", "italic"
        )
        return text
