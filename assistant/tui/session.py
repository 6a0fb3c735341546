"""What a terminal does with a conversation: ask, stop, ask again, branch; it tells a view what there is to draw."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Protocol

from assistant.client.fields import FAULTS
from assistant.client.wording import progress
from assistant.history.conversation import Conversation
from assistant.tui.book import Book
from assistant.tui.keeper import Keeper
from assistant.tui.link import Link
from assistant.tui.reader import Chunk, DeviceReader, Doing, Ended, Event, Reader, in_thread
from assistant.tui.readings import Readings
from assistant.tui.talk import Exchange, Knowledge, known_ids, request, texts
from assistant.tui.turn import Turn
from models.errors import BedsideError

_SAVE_S = 1.0
_PACE_S = 1.0
_DEVICE_S = 60.0
"""So long after an answer the device is watched; then the server may end when it is idle."""
Storage = Literal["memory", "saved", "incognito"]


class View(Protocol):
    """What draws a session."""

    def rebuilt(self) -> None:
        """Other turns are shown."""

    def grew(self) -> None:
        """The turn that is being written has changed."""

    def doing(self, text: str) -> None:
        """What is waited for; empty where nothing is."""

    def returned(self, text: str, note: str | None) -> None:
        """A question without an answer goes back to where it was written."""

    def forget(self) -> None:
        """Nothing of what was written may come back."""

    def told(self, text: str) -> None:
        """Something went wrong."""


class _Unseen:
    """The view when the terminal has closed."""

    def rebuilt(self) -> None:
        """Nobody looks."""

    def grew(self) -> None:
        """Nobody looks."""

    def doing(self, text: str) -> None:
        """Nobody looks."""

    def returned(self, text: str, note: str | None) -> None:
        """Nobody looks."""

    def forget(self) -> None:
        """Nobody looks."""

    def told(self, text: str) -> None:
        """Nobody looks."""


class Session:
    """One conversation at a time, one answer at a time."""

    def __init__(self, link: Link, knowledge: Knowledge, view: View) -> None:
        self.link, self.knowledge = link, knowledge
        self._view: View = view
        self.book = Book(Keeper())
        self.storage: Storage = "memory"
        self.turns: list[Turn] = []
        self.readings = Readings()
        self.editing: Exchange | None = None
        """The question in whose place the next one will stand."""
        self._running: tuple[Turn, Reader] | None = None
        self._reader: Reader | None = None
        self._device: DeviceReader | None = None
        self._device_ends: asyncio.TimerHandle | None = None
        self._saved_at = self._paced_at = 0.0
        self._first_at: float | None = None
        """When the first words of the answer that is being written came."""
        self._pace: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_running(self) -> bool:
        """Whether an answer is waited for or written."""
        return self._running is not None

    async def arrive(self) -> None:
        """Have a server ready before the first question."""
        loop = asyncio.get_running_loop()

        def look() -> tuple[str, int]:
            connection = self.link.connection(lambda text: _in(loop, self._view.doing, text))
            return connection.model(), connection.count_tokens("")[1]

        await self._look(look)
        connection, name = self.link.known(), self.knowledge
        if connection is not None and name not in ("on", "off"):
            try:
                await in_thread(lambda: connection.check_library(name))
            except BedsideError as error:
                self._view.told(f"{error}; Ctrl+P “library” chooses one")

    async def switch(self, model: str) -> None:
        """Go on with another model."""
        loop = asyncio.get_running_loop()

        def look() -> tuple[str, int]:
            connection = self.link.switch(model, lambda text: _in(loop, self._view.doing, text))
            return connection.model(), connection.count_tokens("")[1]

        await self._look(look)

    async def _look(self, look: Any) -> None:
        try:
            model, most = await in_thread(look)
        except BedsideError as error:
            self._view.doing("")
            self._view.told(str(error))
            return
        known = self.readings if self.readings.model == model else Readings()
        self.readings = replace(known, model=model, most_tokens=most)
        self._view.doing("")
        self._view.grew()

    def ask(self, text: str, note: str | None = None) -> None:
        """Ask a new question, or the one that is being edited in its new words."""
        before = self._before(self.editing)
        exchange = self.book.ask(text, note, self.knowledge, self.editing)
        self.editing = None
        self._begin(before, exchange)

    def again(self, turn: Turn) -> None:
        """Another answer to the question of a turn."""
        self._begin(self._before(turn.exchange), self.book.ask_again(turn.exchange))

    def _before(self, place: Exchange | None) -> list[Exchange]:
        """The exchanges before one; all, where there is none."""
        shown = self.book.exchanges
        if place is None:
            return shown
        return shown[: next((n for n, each in enumerate(shown) if each.question.id == place.question.id), len(shown))]

    def _begin(self, before: list[Exchange], exchange: Exchange) -> None:
        shown = [*before, exchange]
        turn = Turn(exchange, texts(shown)[-1], known_ids(shown)[-1])
        self.turns = [*self.turns[: len(before)], turn]
        self._reader = Reader(self.link, request(before, exchange), lambda events: self._take(turn, events))
        self._running = turn, self._reader
        self._saved_at, self._first_at = time.monotonic(), None
        self.readings = self.readings.asking()
        self._watch_device()
        self._view.rebuilt()
        self._view.doing("asking")
        self._do(self.book.save())

    def _take(self, turn: Turn, events: list[Event]) -> None:
        if self._running is None or self._running[0] is not turn or not turn.is_running:
            return
        for event in events:
            if isinstance(event, Doing):
                self._view.doing(event.text)
            elif isinstance(event, Chunk):
                try:
                    turn.take(event.content)
                except FAULTS:
                    self._end(turn, "what answers is no Bedside server; check the address")
                    return
                self._view.doing("writing" if turn.text else progress(turn.told) or "reading")
            elif isinstance(event, Ended):
                if event.red_flags is not None and not turn.told.fields:
                    with suppress(*FAULTS):
                        turn.flag(event.red_flags)
                self._end(turn, event.fault)
                return
        self._view.grew()
        self._on_the_way(turn)

    def _on_the_way(self, turn: Turn) -> None:
        """Each second, keep what there is, and have its tokens counted."""
        now = time.monotonic()
        if now - self._saved_at > _SAVE_S:
            self._saved_at = now
            self._do(self._write(turn))
        if turn.text and self._first_at is None:
            self._first_at = self._paced_at = now
        elif self._first_at is not None and now - self._paced_at > _PACE_S:
            self._paced_at = now
            self._pace = asyncio.get_running_loop().create_task(self._count(turn, now - self._first_at))

    async def _count(self, turn: Turn, elapsed_s: float) -> None:
        """How fast it is written. The server counts the tokens of the text, as one chunk of the stream may hold several."""
        with suppress(BedsideError):  # the answer's own reader says what is wrong
            counted = await in_thread(partial(self.link.count_tokens, turn.text))
            if counted is not None and self._running is not None and self._running[0] is turn:
                self.readings = self.readings.writing((counted[0] - 1) / elapsed_s)
                self._view.grew()

    def _end(self, turn: Turn, fault: str) -> None:
        try:
            if not fault:
                turn.told.answer()
        except FAULTS:
            fault = "what answers is no Bedside server; check the address"
        turn.end("failed" if fault else "complete", fault)
        if turn.told.usage:
            self.readings = self.readings.with_usage(turn.told.model, turn.told.usage)
        self._ended(turn)

    def stop(self, *, leaving: bool = False) -> bool:
        """End the answer at once; False where there is none. A conversation that is left keeps its question."""
        if self._running is None:
            return False
        turn, reader = self._running
        reader.stop()
        turn.end("stopped")
        self._ended(turn, returns=not leaving)
        return True

    def _ended(self, turn: Turn, *, returns: bool = True) -> None:
        self._running = None
        self._view.doing("")
        is_empty = not turn.text and not turn.told.refused and turn.state != "complete"
        if returns and (is_empty or turn.state == "failed"):
            self.editing = turn.exchange
            note = turn.exchange.note
            self._view.returned(turn.exchange.question.text, None if note is None else note.text)
        self._device_ends = asyncio.get_running_loop().call_later(_DEVICE_S, self._leave_device)
        self._view.grew()
        self._do(self._write(turn))
        if turn.state == "complete" and self.readings.most_tokens is None:  # there was no server at the start
            self._do(self.arrive())

    async def _write(self, turn: Turn) -> None:
        if turn.exchange.answer is not None:
            answer = await self.book.write(turn.exchange.answer, turn.text, turn.state, turn.details)
            turn.exchange = replace(turn.exchange, answer=answer)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out what concerns the history; what goes wrong is told, and the conversation goes on."""

        async def carried_out() -> None:
            try:
                await work
            except BedsideError as error:
                self._view.told(not_saved(error))
            self._view.grew()

        task = asyncio.get_running_loop().create_task(carried_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Until the history has all that was given to it."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def branch(self, turn: Turn, step: int) -> None:
        """Show another version of a turn, with what followed it."""
        await self.settled()
        versions = self.book.alternatives(turn.exchange)
        at = versions.index(turn.exchange.last.id) + step
        if 0 <= at < len(versions) and not self.is_running:
            try:
                await self.book.show(versions[at])
            finally:  # it is shown, whatever the history says
                self.rebuild()

    def versions(self, turn: Turn) -> tuple[int, int]:
        """Which version of a turn is shown, and of how many."""
        found = self.book.alternatives(turn.exchange)
        last = turn.exchange.last.id
        return (found.index(last) + 1 if last in found else 1), len(found)

    def rebuild(self) -> None:
        """Make the turns anew from the messages."""
        shown = self.book.exchanges
        self.readings = self.readings.of_conversation(None)
        self.turns = []
        for exchange, told, known in zip(shown, texts(shown), known_ids(shown), strict=True):
            try:
                self.turns.append(Turn.restored(exchange, told, known))
                if exchange.last.id in self.book.growing:
                    self.turns[-1].end("stopped", "being written in another terminal")
            except FAULTS:
                damaged = Turn(exchange, told, known)
                damaged.end("failed", "this answer is damaged in the history")
                self.turns.append(damaged)
            if told_usage := self.turns[-1].told.usage:
                self.readings = self.readings.of_conversation(told_usage)
        self.editing = None
        self._view.doing("")
        self._view.rebuilt()

    async def open(self, conversation: Conversation, tip: str | None = None) -> None:
        """Go on with a conversation of the history, at the branch of a message. Raises HistoryError."""
        await self._leave()
        await self.book.open(conversation)
        if tip is not None:
            await self.book.show(tip)
        self.rebuild()

    async def use(self, keeper: Keeper, storage: Storage) -> None:
        """Begin a new conversation in another history; what was asked incognito cannot be called back in it."""
        await self._leave()
        if self.storage == "incognito" != storage:
            self._view.forget()
        self.book, self.storage = Book(keeper), storage
        self.rebuild()

    async def _leave(self) -> None:
        """Stop, and give the history what it has refused so far, for the last time."""
        self.stop(leaving=True)
        await self.settled()
        if not self.book.is_saved:
            self._do(self.book.save())
            await self.settled()

    async def new(self) -> None:
        """Begin a new conversation."""
        await self.use(self.book.keeper, self.storage)

    def _watch_device(self) -> None:
        if self._device_ends is not None:
            self._device_ends.cancel()
        if self._device is None:
            self._device = DeviceReader(self.link, self._measured)

    def _leave_device(self) -> None:
        if self._device is not None:
            self._device.stop()
            self._device = None

    def _measured(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Chunk):
                self.readings = self.readings.with_device(event.content)
        self._view.grew()

    async def close(self) -> None:
        """Stop, save, and let go of the server."""
        self._view = _Unseen()
        await self._leave()
        if self._device_ends is not None:
            self._device_ends.cancel()
        for reader in (self._reader, self._device):
            if reader is not None:
                reader.stop()
                reader.join()
        self.link.close()


def not_saved(error: BedsideError) -> str:
    """What went wrong with the history, saying once that it is not saved."""
    return str(error) if "not saved" in str(error) else f"not saved: {error}"


def _in(loop: asyncio.AbstractEventLoop, work: Any, text: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(work, text)
