"""The history: conversations by their last change, found by their words, opened, renamed, tagged, exported, deleted."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.history.conversation import Conversation, Hit, local
from assistant.history.exporting import Form, export
from assistant.history.store import History
from assistant.plaintext import plain_line
from assistant.tui.dialogs import AskLine, Confirm, Dialog, clickable
from assistant.tui.notices import say
from assistant.tui.session import Session
from models.errors import BedsideError

_MOST = 200
_ACTIONS = (
    ("↓ list", "to_list"), ("Enter opens", "open"), ("r rename", "rename"), ("t tags", "tags"), ("x export", "export"),
    ("d delete", "delete"), ("Esc closes", "leave"),
)  # fmt: skip


class HistoryScreen(Dialog[None]):
    """Type to search; with the arrow keys into the list, where single keys act."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_list", "To the list", show=False),
        Binding("slash", "to_search", "Search", show=False),
        Binding("r", "rename", "Rename", show=False),
        Binding("t", "tags", "Tags", show=False),
        Binding("x", "export", "Export", show=False),
        Binding("d", "delete", "Delete", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._found: list[tuple[Conversation, str | None]] = []

    def compose(self) -> ComposeResult:
        """Search line, list, keys."""
        where = {"saved": "saved, encrypted", "memory": "in memory only", "incognito": "this incognito session only"}
        with Vertical(classes="box", id="history"):
            yield Static(f"History · {where[self._session.storage]}", classes="title", markup=False)
            yield Input(placeholder="Search")
            yield OptionList(markup=False)
            yield Static(clickable(*_ACTIONS), classes="keys")

    def on_mount(self) -> None:
        """All conversations."""
        self.query_one(Input).focus()
        self.look("")

    @on(Input.Changed)
    def search(self, event: Input.Changed) -> None:
        """What has these words."""
        self.look(event.value)

    @work(exclusive=True, group="history")
    async def look(self, query: str) -> None:
        """Fill the list."""
        keeper = self._session.book.keeper
        try:
            if query.strip():
                hits = await keeper.call(lambda history: history.search(query, _MOST))
                self._fill([(hit.conversation, hit.message_id) for hit in hits], [_hit_text(hit) for hit in hits])
            else:
                found = await keeper.call(lambda history: history.conversations(_MOST))
                self._fill([(each, None) for each in found], [_line_text(each) for each in found])
        except BedsideError as error:
            self._say(str(error))

    def _fill(self, found: list[tuple[Conversation, str | None]], texts: Sequence[Text]) -> None:
        self._found = found
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(text) for text in texts])
        if found:
            shown.highlighted = 0

    def _say(self, text: str) -> None:
        say(self.app, text, "warning")

    @property
    def _chosen(self) -> Conversation | None:
        at = self.query_one(OptionList).highlighted
        return None if at is None or at >= len(self._found) else self._found[at][0]

    def action_to_list(self) -> None:
        """Keys act on a conversation now."""
        self.query_one(OptionList).focus()

    def action_to_search(self) -> None:
        """Write what is looked for."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    async def action_open(self) -> None:
        """Enter in the search line opens what is marked."""
        if self.is_active and (at := self.query_one(OptionList).highlighted) is not None:
            await self._open(at)

    @on(OptionList.OptionSelected)
    async def open_selected(self, event: OptionList.OptionSelected) -> None:
        """Open it."""
        if self.is_active:
            await self._open(event.option_index)

    async def _open(self, at: int) -> None:
        conversation, message = self._found[at]
        try:
            await self._session.open(conversation, message)
        except BedsideError as error:
            self._say(str(error))
            return
        self.dismiss(None)

    @work
    async def action_rename(self) -> None:
        """Another title."""
        if (chosen := self._chosen) and (title := await self.app.push_screen_wait(AskLine("Title", chosen.title))):
            await self._do(partial(History.rename, conversation_id=chosen.id, title=title))

    @work
    async def action_tags(self) -> None:
        """Other tags."""
        if (chosen := self._chosen) is None:
            return
        told = await self.app.push_screen_wait(AskLine("Tags, with commas between them", ", ".join(chosen.tags)))
        if told is not None:
            tags = tuple(tag.strip() for tag in told.split(",") if tag.strip())
            await self._do(partial(History.set_tags, conversation_id=chosen.id, tags=tags))

    @work
    async def action_export(self) -> None:
        """Into a file that is not encrypted; Markdown, or JSON where its name ends so."""
        if (chosen := self._chosen) is None:
            return
        path = await self.app.push_screen_wait(
            AskLine("Export to a file (.md or .json), not encrypted", _file_name(chosen))
        )
        if not path:
            return
        target = Path(path).expanduser()
        form: Form = "json" if target.suffix == ".json" else "md"
        work = partial(export, ids=[chosen.id], path=target, form=form, redacted=False, force=False)
        if await self._do(work):
            say(self.app, f"exported to {target}, which is not encrypted")

    @work
    async def action_delete(self) -> None:
        """Gone for good."""
        if (chosen := self._chosen) is None:
            return
        if await self.app.push_screen_wait(Confirm(f"Delete “{plain_line(chosen.title)}” for good?")):
            open_now = self._session.book.conversation
            if open_now is not None and open_now.id == chosen.id:
                await self._session.new()
            await self._do(partial(History.remove, conversation_id=chosen.id))

    async def _do(self, work: Callable[[History], object]) -> bool:
        try:
            await self._session.book.keeper.call(work)
        except BedsideError as error:
            self._say(str(error))
            return False
        self.look(self.query_one(Input).value)
        return True


def _file_name(each: Conversation) -> str:
    words = re.findall(r"[a-z0-9]+", each.title.casefold())[:6]
    return f"~/{'-'.join(words) or 'conversation'}.md"


def _line_text(each: Conversation) -> Text:
    text = Text(f"{local(each.changed_at):%Y-%m-%d %H:%M}  ", no_wrap=True, overflow="ellipsis")
    text.append(plain_line(each.title), "bold")
    if each.tags:
        text.append(f"  # {', '.join(map(plain_line, each.tags))}", "italic")
    return text


def _hit_text(hit: Hit) -> Text:
    """The title, and below it the words that were found, underlined."""
    text = _line_text(hit.conversation)
    snippet = Text(hit.snippet.replace("\n", " "))
    for start, end in hit.marked:
        snippet.stylize("bold underline", start, end)
    return text.append("\n    ").append_text(snippet)
