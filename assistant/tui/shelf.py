"""The history: conversations by their last change, found by their words, opened, renamed, tagged, exported, deleted."""

import re
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import ClassVar, Literal

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.history.conversation import Conversation, Hit, local
from assistant.history.exporting import Form, export
from assistant.history.store import History
from assistant.plaintext import plain_line
from assistant.tui.dialogs import AskLine, Choice, Choose, Confirm, Dialog, answer, clickable
from assistant.tui.notices import say
from assistant.tui.session import Session
from assistant.tui.upkeep import ask_file
from models.errors import BedsideError

_MOST = 200
_ACTIONS = (
    ("↓ list", "to_list"), ("Enter opens", "open"), ("r rename", "change('rename')"), ("t tags", "change('tag')"),
    ("x export", "change('export')"), ("d delete", "change('delete')"), ("Esc closes", "leave"),
)  # fmt: skip
_REDACTION = (
    "Redacted: dates, names after Mr, Mrs, Dr and the like, numbers and addresses are replaced by fixed rules. Other names "
    "are not found, nor what only a reader can tell: read the file before you pass it on."
)
_EXPORTS = (Choice("a", "as it is", False), Choice("r", "redacted", True))
_TAGS_TOLD = 20


class HistoryScreen(Dialog[None]):
    """Type to search; with the arrow keys into the list, where single keys act."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_list", "To the list", show=False),
        Binding("slash", "to_search", "Search", show=False),
        Binding("r", "change('rename')", "Rename", show=False),
        Binding("t", "change('tag')", "Tags", show=False),
        Binding("x", "change('export')", "Export", show=False),
        Binding("d", "change('delete')", "Delete", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._found: list[tuple[Conversation, str | None]] = []
        self._is_changing = False

    def compose(self) -> ComposeResult:
        """Search line, list, keys."""
        where = {"saved": "saved, encrypted", "memory": "in memory only", "incognito": "this incognito session only"}
        with Vertical(classes="box", id="history"):
            yield Static(f"History · {where[self._session.storage]}", classes="title", markup=False)
            yield Input(placeholder="Search; #tag lists what has the tag", suggester=_Tags(self._session))
            yield OptionList(markup=False)
            yield Static(clickable(*_ACTIONS), classes="keys")

    def on_mount(self) -> None:
        """All conversations, as soon as it is shown."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def search(self, event: Input.Changed) -> None:
        """What has these words."""
        self.look(event.value)

    def on_screen_resume(self) -> None:
        """What was done over it may have changed something."""
        self.look(self.query_one(Input).value)

    @work(exclusive=True, group="history")
    async def look(self, query: str) -> None:
        """Fill the list."""
        keeper = self._session.book.keeper
        try:
            if (begun := query.strip()).startswith("#"):
                found, nothing = await keeper.call(partial(_tagged, begun=begun[1:].strip()))
                self._fill([(each, None) for each in found], [_line_text(each) for each in found], nothing)
            elif begun:
                hits = await keeper.call(lambda history: history.search(query, _MOST))
                texts = [_hit_text(hit) for hit in hits]
                self._fill([(hit.conversation, hit.message_id) for hit in hits], texts, "nothing has these words")
            else:
                found = await keeper.call(lambda history: history.conversations(_MOST))
                texts = [_line_text(each) for each in found]
                self._fill([(each, None) for each in found], texts, "no conversation yet")
        except BedsideError as error:
            self._say(str(error))

    def _fill(self, found: list[tuple[Conversation, str | None]], texts: Sequence[Text], nothing: str) -> None:
        shown = self.query_one(OptionList)
        at = shown.highlighted or 0
        is_same = [each.id for each, _ in found] == [each.id for each, _ in self._found]
        self._found = found
        shown.clear_options()
        shown.add_options([Option(text) for text in texts] or [Option(Text(nothing), disabled=True)])
        if found:
            shown.highlighted = min(at, len(found) - 1) if is_same else 0

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

    def action_change(self, what: Literal["rename", "tag", "export", "delete"]) -> None:
        """Do something with the conversation that is marked: one thing at a time, however fast the keys come."""
        if (chosen := self._chosen) is not None and self.is_active and not self._is_changing:
            work = {"rename": self._rename, "tag": self._tag, "export": self._export, "delete": self._delete}[what]
            self._is_changing = True
            self.run_worker(self._change(work(chosen)))

    async def _change(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BedsideError as error:
            self._say(str(error))
        finally:
            self._is_changing = False

    async def _rename(self, chosen: Conversation) -> None:
        if title := await answer(self.app, AskLine("Title", chosen.title)):
            await self._do(partial(History.rename, conversation_id=chosen.id, title=title))

    async def _tag(self, chosen: Conversation) -> None:
        told = await answer(self.app, AskLine("Tags, with commas between them", ", ".join(chosen.tags)))
        if told is not None:
            tags = tuple(tag.strip() for tag in told.split(",") if tag.strip())
            await self._do(partial(History.set_tags, conversation_id=chosen.id, tags=tags))

    async def _export(self, chosen: Conversation) -> None:
        """Into a file that is not encrypted; Markdown, or JSON where its name ends so."""
        redacted = await answer(self.app, Choose("Export, as it is or redacted?", _REDACTION, _EXPORTS))
        if redacted is None:
            return
        title = f"Export {'redacted ' if redacted else ''}to a file (.md or .json), not encrypted"
        if (target := await ask_file(self.app, title, _file_name(chosen))) is None:
            return
        path, force = target
        form: Form = "json" if path.suffix.lower() == ".json" else "md"
        await self._do(partial(export, ids=[chosen.id], path=path, form=form, redacted=redacted, force=force))
        read = "; read it before you pass it on" if redacted else ""
        say(self.app, f"exported {'redacted ' if redacted else ''}to {path}, which is not encrypted{read}")

    async def _delete(self, chosen: Conversation) -> None:
        if await answer(self.app, Confirm(f"Delete “{plain_line(chosen.title)}” for good?")):
            open_now = self._session.book.conversation
            if open_now is not None and open_now.id == chosen.id:
                await self._session.new()
            await self._do(partial(History.remove, conversation_id=chosen.id))

    async def _do(self, work: Callable[[History], object]) -> None:
        await self._session.book.keeper.call(work)
        self.look(self.query_one(Input).value)


class _Tags(Suggester):
    """Completes the tag that a search line begins with #."""

    def __init__(self, session: Session) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._session = session

    async def get_suggestion(self, value: str) -> str | None:
        """The most frequent tag that begins so; the Right key takes it."""
        if not value.startswith("#") or len(value) == 1:
            return None
        try:
            tags = await self._session.book.keeper.call(History.tags)
        except BedsideError:
            return None  # the list says why
        begun = value[1:].casefold()
        return next((f"#{value[1:]}{tag[len(begun) :]}" for tag in tags if tag.casefold().startswith(begun)), None)


def _tagged(history: History, begun: str) -> tuple[list[Conversation], str]:
    """The conversations with a tag that begins so, in any case; and what to say where there are none."""
    tags = history.tags()
    meant = {tag for tag in tags if tag.casefold().startswith(begun.casefold())}
    found = [each for each in history.conversations(limit=-1) if meant.intersection(each.tags)]
    told = ", ".join(map(plain_line, tags[:_TAGS_TOLD])) + (", …" if len(tags) > _TAGS_TOLD else "")
    return found[:_MOST], f"no tag begins so; there are: {told}" if tags else "no conversation has a tag (t gives tags)"


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
