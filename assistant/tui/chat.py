"""The screen of the conversation: transcript, passage, input, status."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.events import Click, Resize
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static, TextArea

from assistant.client.answer import MAX_ANSWER_TOKENS
from assistant.plaintext import plain, plain_line
from assistant.tui.composer import Composer
from assistant.tui.notices import copy, forget_copied, say
from assistant.tui.panel import SourcePanel
from assistant.tui.reader import in_thread
from assistant.tui.readings import clipped, status_text
from assistant.tui.session import Session, Storage
from assistant.tui.transcript import Transcript
from assistant.tui.turn import Turn
from assistant.tui.turn_rows import LOW, banner
from assistant.tui.welcome import welcome_rows
from models.errors import BedsideError

_COUNT_AFTER_S = 0.3
_BUTTON = 6  # columns
_STANDING: dict[Storage, tuple[str, str]] = {
    "memory": ("in memory only, not saved", "not saved"),
    "saved": ("saved, encrypted", "saved"),
    "incognito": ("incognito: nothing touches the disk", "incognito"),
}
"""Where the conversation is, and the same on a narrow screen."""


class ChatScreen(Screen[None]):
    """Where the clinician works."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  (as Textual declares it)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Stop", show=False, priority=True),
        Binding("pageup", "page(-1)", "Up", show=False, priority=True),
        Binding("pagedown", "page(1)", "Down", show=False, priority=True),
        Binding("ctrl+o", "next_source", "Passage", show=False, priority=True),
        Binding("ctrl+r", "again", "Again", show=False, priority=True),
        Binding("f3", "edit", "Edit", show=False, priority=True),
        Binding("ctrl+y", "copy", "Copy", show=False, priority=True),
        Binding("r", "again", "Again", show=False),
        Binding("e", "edit", "Edit", show=False),
        Binding("c", "copy", "Copy", show=False),
        Binding("o", "copy_code", "Copy code", show=False),
        Binding("d", "details", "Details", show=False),
        Binding("v", "note", "The note", show=False),
        Binding("left", "branch(-1)", "Version before", show=False),
        Binding("right", "branch(1)", "Next version", show=False),
        Binding("f2", "swap_note", "Note", show=False, priority=True),
        *(Binding(str(number), f"source({number})", f"Passage {number}", show=False) for number in range(1, 10)),
    ]

    def __init__(self, make: "Callable[[ChatScreen], Session]") -> None:
        super().__init__()
        self.session = make(self)
        self._note: str | None = None
        self._count: Timer | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom; the parts that are not always there are shown when they are needed."""
        yield Static(id="flags", markup=False)
        with Horizontal(id="body"):
            yield Transcript()
            yield SourcePanel()
        yield Static("↓ more below: click, or End", id="below", markup=False)
        with Horizontal(classes="line"):
            yield Static(id="activity", markup=False)
            yield Static("Ask", id="go", classes="button", markup=False)
        yield Static(id="note", markup=False)
        yield Composer()
        yield Static(id="room", markup=False)
        with Horizontal(classes="line", id="footer"):
            yield Static(id="standing", markup=False)
            yield Static("Menu", id="menu", classes="button", markup=False)
        yield Static(id="status", markup=False)

    @property
    def _transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def _composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def _panel(self) -> SourcePanel:
        return self.query_one(SourcePanel)

    def on_mount(self) -> None:
        """Look for a server while the first question is written."""
        self._composer.focus()
        self.rebuilt()
        self.run_worker(self.session.arrive(), group="server")

    def on_resize(self, event: Resize) -> None:
        """The words at the start, and the figures that fit."""
        self._transcript.welcome(welcome_rows(max(event.size.width - 3, 8), self.session.link.url))
        self._show_flags()
        self._show_standing()

    # What the session tells.

    def rebuilt(self) -> None:
        """Other turns are shown."""
        self._transcript.show_turns([(turn, self.session.versions(turn)) for turn in self.session.turns])
        self._panel.close()
        self._below(True)
        self._show_flags()
        self._show_standing()

    def grew(self) -> None:
        """The turn that is being written has changed."""
        self._transcript.grown()
        self._show_flags()
        self._show_standing()

    def doing(self, text: str) -> None:
        """What is waited for."""
        shown = f"… {text} · Esc stops" if text and self.session.is_running else f"… {text}" if text else ""
        self._write("activity", shown)
        self._write("go", "Stop" if self.session.is_running else "Ask")

    def returned(self, text: str, note: str | None) -> None:
        """A question without an answer is asked again with Enter, unless another one is being written."""
        if self._composer.text.strip() or self._note is not None:
            self.session.editing = None
            return
        self._composer.write(text)
        self._set_note(note)

    def forget(self) -> None:
        """Neither in the input nor behind its arrow keys."""
        self._composer.forget()
        self._set_note(None)
        forget_copied(self.app)

    def told(self, text: str) -> None:
        """Something went wrong."""
        say(self.app, text, "warning")

    def _show_flags(self) -> None:
        """Above everything, for as long as the last turn has any."""
        turns = self.session.turns
        self._write("flags", "\n".join(banner(turns[-1], self.size.width - 2, self.size.height) if turns else []))

    def _show_standing(self) -> None:
        session, width = self.session, max(self.size.width - 2, 1)
        notice = plain_line(session.turns[-1].told.fields.get("notice") or "") if session.turns else ""
        knowledge = "" if session.knowledge == "on" else f"library {session.knowledge}"
        is_unsaved = session.storage == "saved" and not session.book.is_saved
        long, short = ("NOT saved",) * 2 if is_unsaved else _STANDING[session.storage]
        lines = [" · ".join(part for part in (notice, where, knowledge) if part) for where in (long, short)]
        told = lines[0] if cell_len(lines[0]) <= width - _BUTTON else lines[1]
        if self.size.height < LOW:  # one row, in which a notice that is cut would say something else
            told = clipped(" · ".join(part for part in (short, knowledge, notice) if part), width - _BUTTON)
        self._write("standing", told)
        self._write("status", status_text(session.readings, width))

    def _write(self, name: str, text: str) -> None:
        """Into one of the lines around the conversation; drawn only where it changes, since each costs a layout."""
        line = self.query_one(f"#{name}", Static)
        if line.content != text:
            line.update(text)
            line.set_class(bool(text), "-shown")

    def _below(self, at_end: bool) -> None:
        self.query_one("#below").set_class(not at_end, "-shown")

    # What is done by keys and clicks.

    @on(Composer.Sent)
    def send(self, event: Composer.Sent) -> None:
        """Ask what is written."""
        text = plain(event.text).strip()
        if not text:
            if self._note is not None:
                say(self.app, "the note needs a question: write what you want to know of it, then Enter asks both")
            return
        if self.session.is_running:
            say(self.app, "an answer is being written: Esc stops it, then Enter asks")
            return
        note = self._note
        self._composer.remember(text)
        self._composer.take(event.text)
        self._set_note(None)
        self.session.ask(text, note)

    @on(Composer.NotePasted)
    def take_note(self, event: Composer.NotePasted) -> None:
        """A long text is the patient's."""
        self._set_note(f"{self._note}\n{event.text}" if self._note else event.text)

    @property
    def unsent(self) -> str:
        """What is written and not asked; empty for a question that was brought back and is as it was."""
        exchange = self.session.editing
        if exchange is not None and self._composer.text == exchange.question.text:
            return ""
        return f"{self._note or ''}{self._composer.text}".strip()

    def _set_note(self, note: str | None) -> None:
        self._note = note
        shown = self.query_one("#note", Static)
        shown.set_class(note is not None, "-shown")
        if note is not None:
            first = plain_line(note)[:48]
            shown.update(f"▤ patient note, {len(note):,} characters: “{first}…” · F2 edits it")
        self._count_soon()

    def action_swap_note(self) -> None:
        """The note becomes text to be edited, or the text the note."""
        text = self._composer.text
        if self._note is not None:
            note, self._note = self._note, None
            self._composer.write(f"{note}\n{text}" if text.strip() else note)
            self._set_note(None)
        elif text.strip():
            self._composer.load_text("")
            self._set_note(plain(text).strip())

    @on(TextArea.Changed, "#composer")
    def _count_soon(self) -> None:
        """Count tokens when the writer pauses."""
        if self._count is not None:
            self._count.stop()
        self._count = self.set_timer(_COUNT_AFTER_S, self.count_tokens)

    @work(exclusive=True, group="count")
    async def count_tokens(self) -> None:
        """How much of the context the question would take, where a server is there to say so."""
        text = f"{self._note or ''}\n{self._composer.text}".strip()
        shown = self.query_one("#room", Static)
        try:
            counted = await in_thread(partial(self.session.link.count_tokens, text)) if text else None
        except BedsideError:
            counted = None  # asking will tell
        if counted is None:
            shown.remove_class("-shown")
            return
        count, most = counted
        most -= min(MAX_ANSWER_TOKENS, most // 4)
        free = max(most - (self.session.readings.context_tokens or 0 if self.session.turns else 0), 0)
        told = f"{count:,} tokens · {free:,} fit beside an answer, passages among them"
        if count > free:
            told = f"! {count:,} tokens, and {free:,} fit beside an answer: the oldest turns will be left out"
        if count > most:
            told = f"! {count:,} tokens are more than the {most:,} that fit beside an answer: shorten it"
        shown.update(told)
        shown.add_class("-shown")

    def action_escape(self) -> None:
        """Stop the answer; else close the passage; else leave the editing; else go to the input."""
        if self.session.stop():
            return
        if self._panel.number is not None:
            self._panel.close()
        elif self.session.editing is not None and not self._composer.text.strip():
            self.session.editing = None
            self.doing("")
        self._composer.focus()

    def action_page(self, step: int) -> None:
        """Scroll, wherever the keyboard is."""
        shown = self._transcript if self._panel.number is None else self._panel
        shown.scroll_relative(y=step * max(shown.size.height - 2, 1), animate=False)

    @on(Transcript.Followed)
    def followed(self, event: Transcript.Followed) -> None:
        """Say that there is more below."""
        self._below(event.at_end)

    @on(Click, "#below")
    def to_end(self) -> None:
        """Follow again."""
        self._transcript.follow()

    @on(Click, "#go")
    def go(self) -> None:
        """What Enter does, or Esc while an answer is written."""
        if not self.session.stop():
            self._composer.send()

    @on(Click, "#menu")
    def menu(self) -> None:
        """All commands by name."""
        self.app.action_command_palette()

    @on(Click, "#note")
    def click_note(self) -> None:
        """Edit the note."""
        self.action_swap_note()

    @property
    def chosen(self) -> Turn | None:
        """The turn that actions are about."""
        turns, at = self.session.turns, self._transcript.chosen
        return None if not turns else turns[-1 if at is None else at]

    @on(Transcript.Linked)
    async def follow_link(self, event: Transcript.Linked) -> None:
        """What was clicked in a turn."""
        name, argument = event.link
        self._transcript.chosen = event.turn if event.turn < len(self.session.turns) - 1 else None
        if name == "source":
            self.action_source(int(argument))
        elif name == "branch":
            await self.action_branch(int(argument))
        else:
            actions = {
                "note": self.action_note, "again": self.action_again, "edit": self.action_edit, "copy": self.action_copy,
                "code": self.action_copy_code, "details": self.action_details,
            }  # fmt: skip
            actions[name]()

    def action_source(self, number: int) -> None:
        """Open a passage of the turn."""
        turn = self.chosen
        if turn is None or not self._panel.open(turn.told.sources, number, turn.text):
            say(self.app, f"this answer has no passage {number}")

    def action_next_source(self) -> None:
        """Open the first passage that the answer cites, then the next one each time."""
        turn = self.chosen
        if turn is None or not turn.told.sources:
            return
        cited = next((number for check in turn.told.checks for number in check.cites), 1)
        self.action_source(cited if self._panel.number is None else self._panel.number % len(turn.told.sources) + 1)

    def action_note(self) -> None:
        """Show all of the note, or its beginning."""
        if (turn := self.chosen) is not None:
            turn.is_note_open = not turn.is_note_open
            turn.touch()
            self._transcript.stay()
            self._transcript.grown()

    def action_again(self) -> None:
        """Another answer to the question."""
        if (turn := self.chosen) is not None and not self.session.is_running:
            self.session.again(turn)

    def action_edit(self) -> None:
        """Bring the question back to the input; what is asked then stands in its place, and the former stays a version."""
        if (turn := self.chosen) is None or self.session.is_running:
            return
        if self.session.editing is None and (self._composer.text.strip() or self._note is not None):
            say(self.app, "what you are writing would be lost: ask it, or clear it first", "warning")
            return
        self.session.editing = turn.exchange
        self._composer.write(turn.exchange.question.text)
        self._set_note(None if turn.exchange.note is None else turn.exchange.note.text)
        self._composer.focus()
        self.doing("editing · Enter asks anew · emptied, Esc leaves")

    def action_copy(self) -> None:
        """Copy the answer."""
        if (turn := self.chosen) is not None and turn.text:
            copy(self.app, turn.text, "the answer")

    def action_copy_code(self) -> None:
        """Copy the code in the answer."""
        if (turn := self.chosen) is not None and (code := turn.code):
            copy(self.app, code, "the code")

    async def action_branch(self, step: int) -> None:
        """Show another version of the turn."""
        if (turn := self.chosen) is not None:
            try:
                await self.session.branch(turn, step)
            except BedsideError as error:
                self.told(str(error))

    def action_details(self) -> None:
        """Show what the answer was made with, or hide it."""
        if (turn := self.chosen) is not None:
            turn.is_detailed = not turn.is_detailed
            turn.touch()
            self._transcript.grown()

    def wipe(self) -> None:
        """Leave nothing on the screen or behind the keys."""
        self.forget()
        self.query_one("#room").remove_class("-shown")
        self.doing("")
