"""The engine's events in the server's loop: requests in, events out, and a cancellation where the client has left."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request as HttpRequest

from assistant.engine.request import Event, Failed, Finished, Request, Ticket
from assistant.engine.scheduler import Scheduler
from assistant.server.errors import ApiError

KEEP_ALIVE_S = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Idle:
    """Comes every `KEEP_ALIVE_S`, whatever else does."""


async def watch(scheduler: Scheduler, requests: Sequence[Request]) -> AsyncGenerator[tuple[int, Event | Idle], None]:
    """The events of all requests with the place of theirs, until all have ended.

    Leaving early cancels what still runs. Raises what the engine refuses or fails with.
    """
    loop, events = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Event | Idle]]()

    def submit(place: int, request: Request) -> Ticket:
        def tell(event: Event) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(events.put_nowait, (place, event))

        ticket = Ticket(request, tell)
        scheduler.submit(ticket)
        return ticket

    async def tick() -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            events.put_nowait((0, Idle()))

    # Not asyncio.wait_for: up to Python 3.11 it may swallow the cancellation that comes with an event.
    ticking = asyncio.create_task(tick())
    tickets: dict[int, Ticket] = {}
    try:
        for place, request in enumerate(requests):
            tickets[place] = submit(place, request)
        while tickets:
            place, event = await events.get()
            if isinstance(event, Finished | Failed):
                del tickets[place]
            if isinstance(event, Failed):
                raise event.error
            yield place, event
    finally:
        ticking.cancel()
        for ticket in tickets.values():
            scheduler.cancel(ticket)


async def unless_disconnected(http: HttpRequest, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled where the client leaves before it is done."""
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_disconnection(http))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(499, "the client has left", "disconnected")
        return task.result()
    finally:
        left.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def _disconnection(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
