"""Threads that read from the server, and hand over what has come about thirty times a second."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from assistant.client.connection import Connection
from assistant.client.stopping import Stop
from assistant.errors import ServerError
from assistant.tui.link import Link
from models.errors import BedsideError

FRAME_S = 1 / 30
_RETRY_S = 5.0
_LEAVING_S = 0.5


@dataclass(frozen=True)
class Doing:
    """What is done before a server can be asked."""

    text: str


@dataclass(frozen=True)
class Chunk:
    """The next chunk of an answer, or the next event of the device."""

    content: Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """Nothing more comes; `fault` says why, empty where all is well. What is refused may have been screened."""

    fault: str = ""
    red_flags: Mapping[str, Any] | None = None


Event = Doing | Chunk | Ended
Deliver = Callable[[list[Event]], None]
Item = TypeVar("Item")


class Gathered(Generic[Item]):
    """What another thread puts in, handed over in the loop's thread: the first at once, the rest once a frame."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[Item]], None]) -> None:
        self._loop, self._deliver = loop, deliver
        self._lock = threading.Lock()
        self._waiting: list[Item] = []
        self._last = float("-inf")

    def put(self, item: Item) -> None:
        """From any thread."""
        with self._lock:
            self._waiting.append(item)
            if len(self._waiting) > 1:
                return
        with suppress(RuntimeError):  # the terminal has closed
            self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        left_s = self._last + FRAME_S - time.monotonic()
        if left_s > 0:
            self._loop.call_later(left_s, self._hand_over)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            items, self._waiting = self._waiting, []
        self._last = time.monotonic()
        self._deliver(items)


async def in_thread(work: Callable[[], Item]) -> Item:
    """What `work` returns or raises, from a thread that the end of the terminal does not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Item] = loop.create_future()

    def settle(result: Item | None, error: Exception | None) -> None:
        if not future.done():
            future.set_result(cast("Item", result)) if error is None else future.set_exception(error)

    def run() -> None:
        try:
            told: tuple[Item | None, Exception | None] = work(), None
        except Exception as error:
            told = None, error
        with suppress(RuntimeError):  # the terminal has closed
            loop.call_soon_threadsafe(settle, *told)

    threading.Thread(target=run, daemon=True).start()
    return await future


class _Stoppable:
    """A thread that ends soon after it was told to."""

    _stop: Stop
    _thread: threading.Thread

    def stop(self) -> None:
        """End the work on the server at once; what still comes is not handed over."""
        self._stop.now()

    def join(self) -> None:
        """Until its connection is given back, or a moment has passed."""
        self._thread.join(_LEAVING_S)


class Reader(_Stoppable):
    """One answer, read in a thread."""

    def __init__(self, link: Link, body: Mapping[str, Any], deliver: Deliver) -> None:
        self._link, self._body, self._stop = link, body, Stop()
        self._gathered = Gathered[Event](asyncio.get_running_loop(), deliver)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        ended = Ended()
        try:
            connection = self._link.connection(lambda text: self._put(Doing(text)))
            if not self._stop.asked:
                for chunk in connection.chat(dict(self._body), self._stop):
                    self._put(Chunk(chunk))
        except ServerError as error:
            ended = Ended(str(error), error.red_flags)
        except BedsideError as error:
            ended = Ended(str(error))
        self._put(ended)

    def _put(self, event: Event) -> None:
        if not self._stop.asked:
            self._gathered.put(event)


class DeviceReader(_Stoppable):
    """Power, temperatures and throttling, for as long as it is not stopped; faults are waited out."""

    def __init__(self, link: Link, deliver: Deliver) -> None:
        self._link, self._stop = link, Stop()
        self._gathered = Gathered[Event](asyncio.get_running_loop(), deliver)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.asked:
            try:
                for content in self._events(self._link.known()):
                    self._gathered.put(Chunk(content))
            except BedsideError:
                pass  # it is looked for again; the answer's own reader says what is wrong
            self._stop.wait(_RETRY_S)

    def _events(self, connection: Connection | None) -> Iterator[Mapping[str, Any]]:
        if connection is not None:
            yield from connection.device_events(self._stop)
